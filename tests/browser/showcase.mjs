// Opens the showcase and does to it what a visitor can: `node showcase.mjs URL SCREENSHOTS`.
//
// Where the server is to be restarted it prints a line `RESTART` and waits for one on its input.

import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { check, launch, until } from "./browser.mjs";

const [url, screenshots] = process.argv.slice(2);
const TRANSPORTS = ["poll", "long-poll", "sse", "websocket"];
const PANES = [0, 1, 2, 3];

await mkdir(screenshots, { recursive: true });
const browser = await launch();
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error}`));
  await page.goto(url);

  await play(page, everyPaneDraws, everyCutLosesNothing, everyPaneSpeaksEveryTransport, whatIsSentComesBack);
  await play(page, thePaceChanges, oneReaderGoesThroughAll, twoBrowsersTalk, everyPaneTellsHowItIsDoneByHand);
  await play(page, theKeyboardReaches, photographs);
  check(complaints.length === 0, `the console is silent, but: ${complaints.join("\n")}`);
  await play(page, nativePiecesRead, aLogStartedOverIsAGap, aRestartIsAGap, manyTabsAreWarned);
} finally {
  await browser.close();
}

// One after the other; says how long each took.
async function play(page, ...steps) {
  for (const step of steps) {
    const began = Date.now();
    await step(page);
    console.log(`${step.name}: ${Date.now() - began} ms`);
  }
}

// ---- what holds

async function everyPaneDraws(page) {
  await everyPane(async (pane) => {
    await until(`pane ${pane} is live`, () => isLive(page, pane));
    await advances(page, pane, 8);
    await until(`pane ${pane} has a line on its chart`, async () => {
      const ink = await page.locator(".pane canvas").nth(pane).evaluate((canvas) => {
        // A copy: Chromium warns of a canvas that is read again and again.
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        let blue = 0;
        for (let at = 0; at < data.length; at += 4) blue += data[at + 3] > 200 && data[at + 2] > data[at] + 60;
        return blue;
      });
      return ink > 100 || ink;
    });
    await until(`pane ${pane} knows its delay and costs`, async () => {
      const texts = await Promise.all(["delay", "requests", "bytes"].map((name) => figure(page, pane, name)));
      return texts.every((text) => /\d/.test(text)) || texts;
    });
  });
  const heights = await page.locator(".pane").evaluateAll((panes) => panes.map((pane) => pane.offsetHeight));
  check(new Set(heights).size === 1, `panes are equally high: ${heights}`);
}

async function everyCutLosesNothing(page) {
  for (let round = 0; round < 2; round += 1) {
    const seen = await everyPane((pane) => watchStates(page, pane));
    // There is one mouse.
    for (const pane of PANES) await page.locator(".cut").nth(pane).click();
    await everyPane(async (pane) => {
      await until(`pane ${pane} is cut and comes back`, async () => {
        const states = await seen[pane]();
        return (states.includes("cut") && states.at(-1) === "live") || states;
      });
      await advances(page, pane, 4);
      await unbroken(page, pane);
    });
  }
}

// At any time each transport is that of one pane: more streams than one browser has connections would wait for each other.
async function everyPaneSpeaksEveryTransport(page) {
  for (let turn = 1; turn <= PANES.length; turn += 1) {
    const now = (pane) => TRANSPORTS[(pane + turn) % PANES.length];
    for (const pane of PANES) await page.locator(".pane select").nth(pane).selectOption(now(pane));
    await everyPane(async (pane) => {
      await until(`pane ${pane} is live by ${now(pane)}`, () => isLive(page, pane));
      await advances(page, pane, 3);
      await unbroken(page, pane);
    });
  }
  const back = await page.locator(".pane select").evaluateAll((selects) => selects.map(({ value }) => value));
  check(back.join() === TRANSPORTS.join(), `each is back at its own: ${back}`);
}

async function whatIsSentComesBack(page) {
  for (const pane of PANES) {
    await page.locator(".echo input").nth(pane).fill(`hello ${pane}`);
    await page.locator(".echo button").nth(pane).click();
    const way = TRANSPORTS[pane] === "websocket" ? "frame" : "POST";
    await until(`pane ${pane} hears its echo by ${way}`, async () => {
      const text = await page.locator(".echo output").nth(pane).textContent();
      return (text.startsWith(`“hello ${pane}” back in `) && text.endsWith(` by ${way}`)) || text;
    });
  }
}

// One cursor through all transports, there and back, by hand and by itself.
async function oneReaderGoesThroughAll(page) {
  const mover = page.locator("#mover");
  const figure = async (name) => Number((await mover.locator(`[data-of="${name}"]`).textContent()).replaceAll(",", ""));
  const advances = async () => {
    const from = await figure("received");
    await until(`the mover goes on from ${from}`, async () => (await figure("received")) >= from + 4 || (await figure("received")));
  };
  for (const transport of [...TRANSPORTS, ...TRANSPORTS.toReversed()]) {
    await mover.locator(`input[value="${transport}"]`).check();
    await until(`the mover is live by ${transport}`, async () => {
      const state = await mover.locator(".state").textContent();
      return state === `live, by ${transport}` || state;
    });
    await advances();
  }
  const moves = await figure("moves");
  await mover.getByRole("button", { name: "Move by itself" }).click();
  await until("it moves by itself", async () => (await figure("moves")) >= moves + 3 || (await figure("moves")));
  await mover.getByRole("button", { name: "Move by itself" }).click();
  await advances();
  check((await figure("lost")) === 0 && (await figure("repeated")) === 0, "the mover has lost and repeated nothing");
  const colours = await mover.locator(".trail li").evaluateAll((marks) => marks.map((mark) => mark.dataset.transport));
  check(new Set(colours).size > 1, `its trail has more than one colour: ${colours}`);
}

async function twoBrowsersTalk(page) {
  const context = await page.context().browser().newContext();
  const other = await context.newPage();
  await other.goto(url);
  const say = async (from, text) => {
    await from.locator("#chat [name=text]").fill(text);
    await from.locator("#chat button").click();
  };
  const hears = (who, text) => until(`${text} is heard`, async () => {
    const said = await who.locator(".said li").allTextContents();
    return said.some((line) => line.endsWith(text)) || said;
  });
  await say(page, "is anybody there?");
  await hears(other, "is anybody there?");
  await say(other, "<b>yes</b>");
  await hears(page, "<b>yes</b>");
  await other.locator("#chat [name=text]").fill("  ");
  await other.locator("#chat button").click();
  await until("what cannot be said is refused in words", async () => {
    const note = await other.locator("#chat .note").textContent();
    return note.startsWith("not said: ") || note;
  });
  await context.close();
}

async function everyPaneTellsHowItIsDoneByHand(page) {
  for (const pane of PANES) {
    const details = paneOf(page, pane).locator("details");
    await details.locator("summary").click();
    const line = await details.locator("code").textContent();
    check(line.includes(`${new URL(url).host}/events`), `pane ${pane} has a line to try: ${line}`);
    const example = await details.locator("a").getAttribute("href");
    const source = await page.evaluate(async (path) => (await fetch(path)).text(), example);
    check(source.startsWith("//! ") && source.includes("cargo run"), `${example} is an example with its run line`);
    await details.locator("summary").click();
  }
}

async function aLogStartedOverIsAGap(page) {
  await page.getByRole("button", { name: "Restart the server's log" }).click();
  await everyReaderSaysAGap(page);
  const note = await page.locator("#mover .note").textContent();
  check(note.startsWith("gap epoch"), `the mover says it too: ${note}`);
  for (const pane of PANES) await paneOf(page, pane).locator(".note").evaluate((note) => (note.textContent = ""));
}

// A quiet source is where polling is seen to waste: answers without an event.
async function thePaceChanges(page) {
  const empties = async () => Number((await figure(page, 0, "empties")).replaceAll(",", ""));
  const before = await empties();
  await page.getByLabel("1 in 5 seconds").check();
  await until("polling gets empty answers", async () => (await empties()) > before + 2, 30_000);
  check((await figure(page, 2, "empties")) === "0", "pushing does not");
  await until("the choice shows", () => page.getByLabel("1 in 5 seconds").isChecked());
  await page.getByLabel("4 a second").check();
  await advances(page, 3, 4);
  await until("the choice shows", () => page.getByLabel("4 a second").isChecked());
}

async function theKeyboardReaches(page) {
  const reached = new Set();
  await page.locator("h1").click();
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => {
      const pane = document.activeElement.closest(".pane")?.getAttribute("aria-label") ?? "top";
      return `${pane} ${document.activeElement.tagName} ${document.activeElement.className}`.trim();
    }));
  }
  for (const pane of [1, 2, 3, 4]) {
    for (const part of ["SELECT", "BUTTON cut", "INPUT", "BUTTON", "SUMMARY"]) {
      check(reached.has(`Pane ${pane} ${part}`), `Tab reaches ${part} of pane ${pane}: ${[...reached]}`);
    }
  }
}

async function photographs(page) {
  await page.evaluate(() => document.activeElement.blur());
  for (const width of [1280, 390]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height: 1000 });
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(600);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      check(wide <= width, `nothing sticks out at ${width} px: ${wide}`);
      await page.screenshot({ path: `${screenshots}/${width}-${colorScheme}.png`, fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1280, height: 1000 });
}

// EventSource, WebSocket and fetch as they are, without a line of ours.
async function nativePiecesRead(page) {
  const read = await page.evaluate(async () => {
    const first = (start) => new Promise((resolve, reject) => {
      setTimeout(reject, 10_000, new Error("nothing came"));
      start(resolve, reject);
    });
    const sse = await first((resolve, reject) => {
      const source = new EventSource("/events");
      source.addEventListener("figures", ({ data, lastEventId }) => {
        source.close();
        resolve({ seq: JSON.parse(data).seq, id: lastEventId });
      });
      source.onerror = reject;
    });
    const bare = await first((resolve, reject) => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/events?offset=${sse.id}`);
      socket.onmessage = ({ data }) => {
        socket.close();
        resolve({ seq: JSON.parse(data).seq, protocol: socket.protocol });
      };
      socket.onerror = reject;
    });
    const { events } = await (await fetch(`/events?offset=${sse.id}`)).json();
    return { sse, bare, polled: events[0].data.seq };
  });
  check(read.bare.protocol === "", "a bare WebSocket has no subprotocol");
  check(read.bare.seq === read.sse.seq + 1, `a WebSocket goes on where EventSource was: ${JSON.stringify(read)}`);
  check(read.polled === read.sse.seq + 1, `fetch goes on there too: ${JSON.stringify(read)}`);
}

async function aRestartIsAGap(page) {
  const lines = createInterface({ input: process.stdin });
  console.log("RESTART");
  await lines.question("");
  lines.close();
  await everyReaderSaysAGap(page);
}

async function everyReaderSaysAGap(page) {
  await everyPane(async (pane) => {
    // Waits after a failure are drawn from up to 5 s, then 10, then 20.
    await until(`pane ${pane} says the gap`, async () => {
      const note = await paneOf(page, pane).locator(".note").textContent();
      return note.startsWith("another log: gap epoch") || note;
    }, 60_000);
    await until(`pane ${pane} goes on`, () => isLive(page, pane));
    await advances(page, pane, 4);
    await unbroken(page, pane);
  });
}

async function manyTabsAreWarned(page) {
  check(await page.locator("#tabs").isHidden(), "one tab is no reason to warn");
  const others = [];
  for (let tab = 0; tab < 3; tab += 1) {
    const other = await page.context().newPage();
    await other.goto(url, { waitUntil: "commit" });
    others.push(other);
  }
  await until("four tabs are too many", async () => {
    const warning = (await page.locator("#tabs").isVisible()) && (await page.locator("#tabs").textContent());
    return (warning && warning.startsWith("4 tabs keep")) || warning;
  });
  await Promise.all(others.map((other) => other.close()));
  await until("one is not", () => page.locator("#tabs").isHidden());
}

// ---- what is looked at

// Of all panes at the same time: most of it is waiting.
function everyPane(look) {
  return Promise.all(PANES.map(look));
}

function paneOf(page, pane) {
  return page.locator(".pane").nth(pane);
}

function state(page, pane) {
  return paneOf(page, pane).getAttribute("data-state");
}

async function isLive(page, pane) {
  const now = await state(page, pane);
  return now === "live" || now;
}

// What a pane says from here on; asking again would miss what is over soon.
async function watchStates(page, pane) {
  const seen = await paneOf(page, pane).evaluateHandle((root) => {
    const states = [];
    new MutationObserver(() => states.push(root.dataset.state)).observe(root, { attributeFilter: ["data-state"] });
    return states;
  });
  return () => seen.jsonValue();
}

function figure(page, pane, name) {
  return paneOf(page, pane).locator(`[data-of="${name}"]`).textContent();
}

async function seq(page, pane) {
  return Number(await paneOf(page, pane).getAttribute("data-seq"));
}

async function advances(page, pane, by) {
  const from = await seq(page, pane);
  await until(`pane ${pane} goes on from ${from} by ${by}`, async () => {
    const now = await seq(page, pane);
    return now >= from + by || now;
  });
}

async function unbroken(page, pane) {
  for (const name of ["lost", "repeated"]) {
    const count = await figure(page, pane, name);
    check(count === "0", `pane ${pane} has ${name} 0, not ${count}`);
  }
}
