// EventSource, WebSocket and fetch as they are, without a line of ours: `node native.mjs CONTROL`.

import { createHash } from "node:crypto";

import { check, launch, until } from "./browser.mjs";
import { World, accepted, open, play, proved, unbroken, whilePublishing } from "./world.mjs";

const control = process.argv[2];
const READERS = ["sse", "bare", "v1", "poll", "longPoll"];
const world = (settings) => World.of(control, settings);

const scenarios = {
  async "every piece reads what was there and what comes"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    await here.publish(50);
    for (const kind of READERS) await read(page, kind, kind, `${here.events}?offset=-1`);
    await here.publish(50);
    for (const kind of READERS) await unbroken(kind, () => numbers(page, kind), 100);
    check((await of(page, "bare")).protocol === "", "a bare WebSocket has no subprotocol");
    check((await of(page, "v1")).protocol === "realtime.v1", "the other one has what it asked for");
    const { opened, said } = await of(page, "sse");
    check(opened === 1 && said[0].name === "$open" && said[0].outcome === "fresh", `$open comes first: ${JSON.stringify(said)}`);
  },

  async "a cursor of each piece resumes on every other"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    const cursors = await here.publish(40);
    for (const from of READERS) {
      await read(page, from, from, `${here.events}?offset=-1`);
      await until(`${from} reads`, async () => (await numbers(page, from)).length === 40);
      // A bare WebSocket is told its place by a close alone; till then a page counts.
      const cursor = from === "bare" ? cursors[19] : (await of(page, from)).seen[19].id;
      check(cursor === cursors[19], `${from} has the server's cursors`);
      for (const to of READERS) {
        const name = `${from} to ${to}`;
        await read(page, name, to, `${here.events}?offset=${cursor}`);
        await unbroken(name, () => numbers(page, name), 40, { from: 21 });
        await page.evaluate((name) => window.held[name].close(), name);
      }
    }
    proved("D-05", "EventSource, WebSocket and fetch in Chromium: each ordered pair");
  },

  async "EventSource comes back by itself and misses nothing"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    await here.publish(10);
    await read(page, "sse", "sse", `${here.events}?offset=-1`);
    await unbroken("EventSource", () => numbers(page, "sse"), 10);
    const resumed = async () => (await of(page, "sse")).said.filter(({ outcome }) => outcome === "resumed").length;
    await whilePublishing(here, async () => {
      for (const [times, end] of ["kill", "stop", "kill"].entries()) {
        await here.do(end);
        if (times === 2) {
          const { failed } = await of(page, "sse");
          await until("it is refused a few times", async () => (await of(page, "sse")).failed > failed + 2);
        }
        await here.do("start");
        await until(`it is back after ${end}`, async () => (await resumed()) === times + 1);
      }
    });
    await unbroken("EventSource over three servers", () => numbers(page, "sse"), here.published);
    const { asked } = await here.do("seen");
    check(asked.slice(1).every(({ cursor }) => cursor?.length === 33), `by its cursor: ${JSON.stringify(asked)}`);
    proved("P-SE-14", "Chromium comes back after a close, a drain and refused connections, with Last-Event-ID");
  },

  async "a gap is seen on every piece"(context) {
    const here = await world({ keep: 10 });
    const page = await open(context, here, "/page/native.js");
    const [, old] = await here.publish(2);
    await here.do("forget");
    const [first] = (await here.publish(30)).slice(-10);
    for (const [reason, cursor] of [["epoch", old], ["trimmed", `${first.slice(0, 17)}0000000000000003`]]) {
      for (const kind of READERS) {
        const name = `${kind} ${reason}`;
        await read(page, name, kind, `${here.events}?offset=${cursor}`);
        if (kind === "bare") {
          await until(`${name}: a close`, async () => (await of(page, name)).ended !== null);
          const { ended, seen } = await of(page, name);
          check(ended.code === 4001 && seen.length === 0, `${name}: ${JSON.stringify(ended)}`);
          await read(page, name, kind, `${here.events}?offset=${ended.reason}`);
        }
        await until(`${name}: what is retained`, async () => (await numbers(page, name)).length === 10);
        const { said, seen } = await of(page, name);
        check(seen.at(-1).id === undefined || seen[0].id === first, `${name} begins at the oldest`);
        if (kind !== "bare") {
          const gaps = said.filter(({ name }) => name === "$gap");
          check(gaps.length === 1 && gaps[0].reason === reason && gaps[0].from === cursor, `${name}: ${JSON.stringify(gaps)}`);
        }
        await page.evaluate((name) => window.held[name].close(), name);
        proved("D-04", `${kind} in Chromium: gap ${reason}`);
      }
    }
    await read(page, "whole", "sse", `${here.events}?offset=${first}`);
    await until("what follows a cursor that is good", async () => (await numbers(page, "whole")).length === 9);
    check((await of(page, "whole")).said[0].outcome === "resumed", "no gap is said where none is owed");
    accepted("D-04", "EventSource in Chromium: no gap where none is owed");
  },

  async "an EventSource that was told of a gap and cut off keeps its place behind it"(context) {
    const here = await world({ keep: 10 });
    const page = await open(context, here, "/page/native.js");
    const [old] = await here.publish(30);
    await read(page, "sse", "sse", `${here.events}?offset=${old}`);
    await until("the gap", async () => (await of(page, "sse")).said.some(({ name }) => name === "$gap"));
    await here.do("kill");
    await here.do("start");
    await here.publish(1);
    await unbroken("it goes on", () => numbers(page, "sse"), 31, { from: 21 });
    const opens = (await of(page, "sse")).said.filter(({ name }) => name === "$open").map(({ outcome }) => outcome);
    check(opens.join() === "gap,resumed", `the gap is not said again: ${opens}`);
  },

  async "the end stops every piece for ever"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    await here.publish(3);
    for (const kind of READERS) await read(page, kind, kind, `${here.events}?offset=-1`);
    for (const kind of READERS) await unbroken(kind, () => numbers(page, kind), 3);
    await here.do("end");
    for (const kind of READERS) await until(`${kind} ends`, async () => (await of(page, kind)).ended !== null || kind);
    for (const kind of ["sse", "poll", "longPoll"]) check((await of(page, kind)).ended === "closed", `${kind} is closed`);
    for (const kind of ["bare", "v1"]) check((await of(page, kind)).ended.code === 1000, `${kind} is closed with 1000`);
    const ends = (await of(page, "sse")).said.filter(({ name }) => name === "$end");
    check(ends.length === 1 && ends[0].reason === "closed" && ends[0].retry === false, `${JSON.stringify(ends)}`);
    const { asked } = await here.do("seen");
    check(asked.filter(({ transport }) => transport === "sse").at(-1).status === 204, "EventSource was stopped by 204");
    await page.waitForTimeout(1_000);
    const later = await here.do("seen");
    check(later.asked.length === asked.length, "and nobody asks again");
    proved("D-13", "every native piece of Chromium stops, EventSource by 204");
    proved("P-SE-02", "Chromium stops for ever at 204");
  },

  async "a busy server keeps an EventSource, another status loses it"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    await here.fault("sse", "end", 3);
    await read(page, "patient", "sse", `${here.events}?offset=-1`);
    await here.publish(1);
    await unbroken("200 and an end three times", () => numbers(page, "patient"), 1, { wait_ms: 30_000 });
    await here.fault("sse", "unavailable", 1);
    await read(page, "lost", "sse", `${here.events}?offset=-1`);
    await until("503 is final", async () => (await of(page, "lost")).ended === "closed");
    proved("P-SE-02", "Chromium comes back after 200 and an end, and never after 503");
  },

  async "a thousand tricky payloads are equal on every piece"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    const live = `${here.events}?offset=now`;
    for (const kind of READERS) await read(page, `${kind} live`, kind, live);
    for (const kind of ["sse", "v1"]) {
      await until(`${kind} is live`, async () => (await of(page, `${kind} live`)).said.some(({ name }) => name === "$live"));
    }
    await until("every reader is there", async () => {
      const { asked } = await here.do("seen");
      const polls = asked.filter(({ transport, status }) => transport === "poll" && status === 200).length;
      const has = (transport, count) => asked.filter((one) => one.transport === transport).length >= count;
      return (polls > 0 && has("long-poll", 1) && has("websocket", 2)) || asked;
    });
    // A long-poll that names no place waits from its arrival on.
    const truth = await here.do("tricky", { seed: 20_251_124, count: 1_000 });
    check(truth.length === 1_000, "a thousand are published");
    for (const when of ["live", "replayed"]) {
      for (const kind of READERS) {
        const name = `${kind} ${when}`;
        if (when === "replayed") await read(page, name, kind, `${here.events}?offset=-1`);
        await until(`${name}: all come`, async () => {
          const count = await page.evaluate((name) => window.held[name].seen.length, name);
          return count === truth.length || count;
        }, 30_000);
        const { seen, sums } = await page.evaluate(async ([name, kind]) => {
          const { seen } = window.held[name];
          const as = { jsonIsText: ["sse", "bare"].includes(kind), binaryIsText: kind === "sse" };
          const sums = await window.ours.digests(seen, as);
          window.held[name].close();
          return { seen: seen.map(({ id, name }) => ({ id, name })), sums };
        }, [name, kind]);
        for (const [at, { id, name: called, sha1, lines }] of truth.entries()) {
          const is = `${name}: payload ${at}, ${called}`;
          check(sums[at] === (kind === "sse" ? lines : sha1), `${is} is what was published`);
          if (kind !== "bare") check(seen[at].id === id && seen[at].name === called, `${is}: id and name`);
        }
        proved("A-13", `1,000 tricky payloads of four kinds through Chromium's ${kind}, ${when}`);
        if (kind === "sse") proved("P-SE-03", `1,000 tricky payloads through Chromium's EventSource, ${when}`);
        if (kind === "sse") proved("P-SE-07", `a BOM in front, and binary as base64, through Chromium's EventSource, ${when}`);
      }
    }
  },

  // Two of each kind where it is deflated, so that each is written to together with another.
  async "what is deflated is the same to a page, and nothing is where nobody asked for it"(context) {
    const [deflating, plain] = [await world({ deflate: true }), await world()];
    const events = various(200);
    const bytes = [];
    for (const [here, names] of [[deflating, ["bare", "v1", "bare too", "v1 too"]], [plain, ["bare", "v1"]]]) {
      const page = await open(context, here, "/page/native.js");
      for (const name of names) await read(page, name, name.split(" ")[0], `${here.events}?offset=now`);
      for (const name of names) {
        await until(`${name} opens`, async () => (await of(page, name)).extensions !== undefined);
        const { extensions } = await of(page, name);
        const is_right = here === deflating ? extensions.split(";")[0] === "permessage-deflate" : extensions === "";
        check(is_right, `${name}: the extensions are "${extensions}"`);
      }
      for (let at = 0; at < events.length; at += 20) await here.do("say", { events: events.slice(at, at + 20) });
      for (const name of names) {
        const kind = name.split(" ")[0];
        await until(`${name}: all come`, async () => {
          const count = await page.evaluate((name) => window.held[name].seen.length, name);
          return count === events.length || count;
        });
        const sums = await page.evaluate(([name, kind]) => (
          window.ours.digests(window.held[name].seen, { jsonIsText: kind === "bare" })
        ), [name, kind]);
        for (const [at, { name: called, text }] of events.entries()) {
          const sum = createHash("sha1").update(text).digest("hex");
          check(sums[at] === sum, `${name}: event ${at}, ${called} of ${text.length}, is what was published`);
        }
      }
      bytes.push((await here.do("seen")).bytes / names.length);
      const long = "10 KiB: ä € 😀 ".repeat(512);
      await page.evaluate((long) => {
        window.held.bare.send(JSON.stringify(long));
        window.held.v1.send(JSON.stringify({ ref: 7, event: "hello", data: long }));
      }, long);
      await until("both echoes", async () => {
        const [bare, v1] = await page.evaluate((at) => (
          [window.held.bare.seen[at]?.data, window.held.v1.said.find(({ name }) => name === "$reply")]
        ), events.length);
        return (v1?.ref === 7 && v1.echo === long && bare && JSON.parse(bare).echo === long) || [v1, bare];
      });
    }
    check(bytes[0] * 3 < bytes[1] * 2, `it is less by a third at least: ${bytes}`);
    proved("P-PD-05", "Chromium inflates 200 events of many sizes, bare and by realtime.v1, and is inflated");
    accepted("P-PD-05", "Chromium reads a mount that deflates nothing, and knows it");
  },

  async "a page of another origin reads with credentials, if it is listed"(context) {
    const [home, stranger] = [await world(), await world()];
    const here = await world({ allow: [home.url], cookie: "s3cret" });
    await context.addCookies([{ name: "session", value: "s3cret", url: here.url }]);
    await here.publish(5);
    const from = `${here.events}?offset=-1`;
    const page = await open(context, home, "/page/native.js");
    await read(page, "sse", "sse", from, { withCredentials: true });
    await read(page, "poll", "poll", from, { credentials: "include" });
    await read(page, "longPoll", "longPoll", from, { credentials: "include" });
    for (const kind of ["bare", "v1"]) await read(page, kind, kind, from);
    await here.publish(5);
    for (const kind of READERS) await unbroken(`${kind} across origins`, () => numbers(page, kind), 10);
    check((await of(page, "poll")).seen[9].id.length === 33, "the cursor headers are readable, or it had not gone on");
    // A reconnect is a simple request: a cursor is safelisted, and costs no preflight.
    await here.do("kill");
    await here.do("start");
    await here.publish(1);
    await unbroken("EventSource resumes across origins", () => numbers(page, "sse"), 11);
    const { asked } = await here.do("seen");
    check(asked.filter(({ transport, cursor }) => transport === "sse" && cursor?.length === 33).length === 1, "by its cursor");
    proved("P-SE-09", "Chromium resumes an EventSource across origins without a preflight");
    accepted("P-CO-01", "Chromium reads across origins with a cookie, by every native piece");
    proved("P-CO-02", "a page of another origin reads the cursor headers in Chromium");

    await read(page, "anonymous", "sse", from);
    await until("no cookie, no stream", async () => (await of(page, "anonymous")).ended === "closed");
    const before = (await here.do("seen")).asked.length;
    const strange = await open(context, stranger, "/page/native.js");
    await read(strange, "sse", "sse", from, { withCredentials: true });
    await read(strange, "poll", "poll", from, { credentials: "include" });
    for (const kind of ["bare", "v1"]) await read(strange, kind, kind, from);
    for (const kind of ["sse", "poll", "bare", "v1"]) {
      await until(`a stranger's ${kind} fails`, async () => (await of(strange, kind)).ended !== null);
      const { seen, ended } = await of(strange, kind);
      check(seen.length === 0, `a stranger's ${kind} sees nothing`);
      if (kind === "sse") check(ended === "closed", "and is not tried again");
      if (["bare", "v1"].includes(kind)) check(ended.code === 1006, `refused before it opens: ${JSON.stringify(ended)}`);
    }
    const refused = (await here.do("seen")).asked.slice(before).filter(({ transport }) => transport === "websocket");
    check(refused.length === 2 && refused.every(({ status }) => status === 403), `by 403: ${JSON.stringify(refused)}`);
    proved("P-CO-01", "a page that is not listed reads nothing with the cookie in Chromium");
    proved("P-CO-03", "Chromium's WebSocket from a page that is not listed");
    proved("A-01", "a page that is not listed, in Chromium, with the cookie, by every native piece");
    accepted("P-CO-03", "Chromium's WebSocket from a page that is listed");
  },

  async "six tabs fill HTTP/1.1, and WebSockets do not count"(context) {
    const here = await world();
    const tabs = [];
    for (let tab = 0; tab < 8; tab += 1) tabs.push(await open(context, here, "/page/native.js"));
    const [one, seventh] = [tabs[0], tabs[6]];
    for (const tab of tabs.slice(0, 6)) await read(tab, "sse", "sse", `${here.events}?offset=-1`);
    await here.publish(1);
    for (const tab of tabs.slice(0, 6)) await unbroken("each of six tabs", () => numbers(tab, "sse"), 1);
    await read(seventh, "sse", "sse", `${here.events}?offset=-1`);
    await read(seventh, "poll", "poll", `${here.events}?offset=-1`);
    for (const kind of ["bare", "v1"]) await read(seventh, kind, kind, `${here.events}?offset=-1`);
    await here.publish(1);
    for (const kind of ["bare", "v1"]) await unbroken(`a WebSocket of a seventh tab, ${kind}`, () => numbers(seventh, kind), 2);
    await seventh.waitForTimeout(500);
    const { opened, seen, failed } = await of(seventh, "sse");
    check(opened === 0 && seen.length === 0 && failed === 0, "a seventh stream waits, and the page is told nothing");
    check((await numbers(seventh, "poll")).length === 0, "so does a poll beside it");
    await one.evaluate(() => window.held.sse.close());
    await unbroken("a place that was given back is taken", () => numbers(seventh, "sse"), 2);
    await tabs[1].close();
    await unbroken("one of a tab that was closed too", () => numbers(seventh, "poll"), 2);
    for (const tab of tabs.slice(2, 6)) await unbroken("the others missed nothing", () => numbers(tab, "sse"), 2);
    // WebSockets alone: far more than six.
    for (let socket = 0; socket < 10; socket += 1) await read(tabs[7], `bare ${socket}`, "bare", `${here.events}?offset=-1`);
    for (let socket = 0; socket < 10; socket += 1) {
      await unbroken("each of ten WebSockets", () => numbers(tabs[7], `bare ${socket}`), 2);
    }
    proved("P-LP-06", "Chromium opens six connections per origin on HTTP/1.1, and WebSockets beside them");
  },

  // Chromium lets one request at a time ask for what its cache might keep, and so holds a second long-poll of a URL back
  // until the first is answered; what is fetched with `cache: "no-store"` is not held.
  async "two long-polls of one URL do not wait for each other"(context) {
    const here = await world();
    const [one, other] = [await open(context, here, "/page/native.js"), await open(context, here, "/page/native.js")];
    for (const tab of [one, other]) await read(tab, "longPoll", "longPoll", here.events);
    const waiting = async () => {
      const { asked } = await here.do("seen");
      return asked.filter(({ transport, status }) => transport === "long-poll" && status === null).length;
    };
    await until("both wait", async () => (await waiting()) === 2, 2_000);
    await here.publish(1);
    for (const tab of [one, other]) await unbroken("both are told", () => numbers(tab, "longPoll"), 1, { wait_ms: 2_000 });
    proved("P-LP-06", "two tabs of Chromium long-poll one URL, with no-store");
  },

  async "messages go up by frame and by POST"(context) {
    const here = await world();
    const page = await open(context, here, "/page/native.js");
    for (const kind of ["bare", "v1"]) await read(page, kind, kind, here.events);
    await until("they are open", async () => {
      const protocols = await Promise.all(["bare", "v1"].map(async (kind) => (await of(page, kind)).protocol));
      return protocols.join("|") === "|realtime.v1" || protocols;
    });
    await page.evaluate(() => window.held.bare.send('{"a":1}'));
    await until("a bare echo", async () => {
      const { seen } = await of(page, "bare");
      return (seen.length === 1 && seen[0].data === '{"echo":{"a":1},"heard":1}') || seen;
    });
    await page.evaluate(() => window.held.v1.send('{"ref":7,"event":"hello","data":"😀"}'));
    await until("a reply with its ref", async () => {
      const { said } = await of(page, "v1");
      const reply = said.find(({ name }) => name === "$reply");
      return (reply && reply.ref === 7 && reply.echo === "😀" && reply.heard === 2) || said;
    });
    const posted = await page.evaluate(async () => {
      const headers = { "content-type": "application/json" };
      const answer = await fetch("/events?event=hello", { method: "POST", headers, body: '{"b":2}' });
      const form = await fetch("/events", { method: "POST", body: new URLSearchParams("b=2") });
      return { status: answer.status, reply: await answer.json(), form: form.status };
    });
    check(JSON.stringify(posted) === '{"status":200,"reply":{"echo":{"b":2},"heard":3},"form":415}', JSON.stringify(posted));
    const { heard } = await here.do("seen");
    check(heard.map(({ event }) => event).join() === "message,hello,hello", `${JSON.stringify(heard)}`);
  },
};

// ---- what is done and looked at

// Events of the sizes that matter: too short to be deflated, at that bound, with each form of a length, beyond a window.
// Their text is drawn from a seed, a run of the same letters now and then.
function various(count) {
  let state = 1;
  const draw = (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const letters = [..."etaoin shrdlu\r\n\u0000\"äß€😀"];
  const text = (bytes) => {
    let text = "";
    let left = bytes;
    while (left > 0) {
      const letter = left < 4 ? "x" : letters[draw(letters.length)];
      const times = Math.min(Math.floor(left / Buffer.byteLength(letter)), draw(3) === 0 ? 1 + draw(20) : 1);
      text += letter.repeat(times);
      left -= times * Buffer.byteLength(letter);
    }
    return text;
  };
  const kinds = [
    () => ({ name: "text", text: text(draw(128)) }),
    () => ({ name: "text", text: text(127 + draw(2)) }),
    () => ({ name: "json", text: JSON.stringify({ s: text(1_000), n: [draw(9), null, true] }) }),
    () => ({ name: "text", text: text(2_000) }),
    () => ({ name: "binary", text: text(3_000) }),
    (at) => ({ name: "text", text: text(at % 5 === 0 ? 65_535 + draw(2) : 130) }),
    () => ({ name: "json", text: JSON.stringify(text(40)) }),
    () => ({ name: "text", text: "€".repeat(1 + draw(2_000)) }),
  ];
  return Array.from({ length: count }, (_, at) => kinds[at % kinds.length](at));
}

function read(page, name, kind, url, options) {
  return page.evaluate(([name, kind, url, options]) => {
    window.held[name] = window.ours.readers[kind](url, options);
  }, [name, kind, url, options]);
}

// A reader as it is now, but for what cannot leave the page.
function of(page, name) {
  return page.evaluate((name) => JSON.parse(JSON.stringify(window.held[name])), name);
}

async function numbers(page, name) {
  return page.evaluate((name) => window.held[name].seen.map(({ data }) => {
    const value = typeof data === "string" ? JSON.parse(data) : data;
    return value.n;
  }), name);
}

const browser = await launch();
try {
  await play(browser, scenarios);
} finally {
  await browser.close();
}
