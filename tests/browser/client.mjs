// realtime-js against the real server: `node client.mjs CONTROL`.

import { check, launch, until } from "./browser.mjs";
import { pasted } from "./pasted.mjs";
import { TRANSPORTS, close, of, order, page, read, send } from "./reading.mjs";
import { Tabs } from "./tab.mjs";
import { World, accepted, play, proved, unbroken, whilePublishing } from "./world.mjs";

const control = process.argv[2];

const world = (settings) => World.of(control, { envelopes: true, ...settings });

const scenarios = {
  async "every transport reads what was there and what comes"(context) {
    const here = await world();
    const tab = await page(context, here);
    await here.publish(50);
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 50);
    await here.publish(50);
    for (const transport of TRANSPORTS) {
      await unbroken(transport, () => order(tab, transport), 100);
      const { opens, lives, state, readyState, lastEventId, errors } = await of(tab, transport);
      check(opens.length === 1 && opens[0].outcome === "fresh", `${transport} opens once: ${JSON.stringify(opens)}`);
      check(lives === 1 && state === "open" && readyState === 1, `${transport} is live and open`);
      check(lastEventId.endsWith("64") && errors.length === 0, `${transport} keeps its place: ${lastEventId}`);
    }
  },

  async "each ordered switch in mid-stream loses and repeats nothing"(context) {
    const here = await world();
    const tab = await page(context, here);
    await read(tab, "rt", here.events);
    await until("it is open", async () => (await of(tab, "rt")).state === "open");
    await whilePublishing(here, async () => {
      for (const [from, to] of everyPair()) {
        const { transport, opens } = await of(tab, "rt");
        check(transport === from, `it stands on ${from}: ${transport}`);
        await tab.evaluate((to) => window.held.rt.rt.switch(to), to);
        await until(`it reads by ${to}`, async () => {
          const now = await of(tab, "rt");
          return (now.opens.length > opens.length && now.opens.at(-1).transport === to && now.state === "open") || now;
        });
        const { seen } = await of(tab, "rt");
        await until(`it goes on by ${to}`, async () => (await of(tab, "rt")).seen > seen + 5);
        proved("D-05", `realtime-js in Chromium, ${from} to ${to} in mid-stream`);
      }
    });
    await unbroken("over twelve switches", () => order(tab, "rt"), here.published);
    const { opens, gaps, errors } = await of(tab, "rt");
    check(opens.slice(1).every(({ outcome }) => outcome === "resumed"), `each resumes: ${JSON.stringify(opens)}`);
    check(gaps.length === 0 && errors.length === 0, `and nothing else is said: ${JSON.stringify({ gaps, errors })}`);
    proved("D-01", "realtime-js in Chromium: 0 lost over each ordered switch");
    proved("D-02", "realtime-js in Chromium: 0 repeated over each ordered switch");
    proved("D-03", "realtime-js in Chromium: in order over each ordered switch");
  },

  async "switches that do not wait for each other lose and repeat nothing"(context) {
    const here = await world();
    const tab = await page(context, here);
    await read(tab, "rt", here.events);
    await whilePublishing(here, () => tab.evaluate(async (TRANSPORTS) => {
      let seed = 20_251_124; // a small generator: the same switches in every run
      const draw = (below) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return Math.floor((seed / 2 ** 31) * below);
      };
      for (let n = 0; n < 120; n += 1) {
        window.held.rt.rt.switch(TRANSPORTS[draw(4)]);
        await new Promise((resolve) => setTimeout(resolve, draw(40)));
      }
    }, TRANSPORTS));
    await unbroken("over 120 switches", () => order(tab, "rt"), here.published);
  },

  async "a server that is killed, stopped and started again costs nothing while its log lives"(context) {
    const here = await world();
    const tab = await page(context, here);
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
    await here.publish(10);
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 10);
    await whilePublishing(here, async () => {
      for (const [end, dead_ms] of [["kill", 0], ["stop", 0], ["kill", 800], ["stop", 300]]) {
        await here.do(end);
        await tab.waitForTimeout(dead_ms);
        await here.do("start");
        const tail = here.published;
        for (const transport of TRANSPORTS) {
          await until(`${transport} goes on after ${end}`, async () => {
            const last = (await order(tab, transport)).at(-1);
            return last > tail || last;
          });
        }
      }
    });
    for (const transport of TRANSPORTS) {
      await unbroken(`${transport} over five servers`, () => order(tab, transport), here.published);
      const { gaps, opens } = await of(tab, transport);
      check(gaps.length === 0, `${transport} is told of no gap: ${JSON.stringify(gaps)}`);
      check(opens.length > 2 || transport.endsWith("poll"), `${transport} was really cut: ${JSON.stringify(opens)}`);
      proved("D-01", `realtime-js in Chromium over ${transport}: a server killed and stopped, 0 lost`);
      proved("D-02", `realtime-js in Chromium over ${transport}: a server killed and stopped, 0 repeated`);
    }
  },

  async "another epoch is a gap that is said, and what is retained follows"(context) {
    const here = await world();
    const tab = await page(context, here);
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
    const old = await here.publish(10);
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 10);
    await here.do("kill");
    await here.publish(3); // nobody will ever see these
    await here.do("forget");
    const fresh = await here.publish(5);
    await here.do("start");
    for (const transport of TRANSPORTS) {
      await until(`${transport} goes on`, async () => (await order(tab, transport)).at(-1) === 18);
      const seen = await order(tab, transport);
      const expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "gap", 14, 15, 16, 17, 18];
      check(seen.join() === expected.join(), `${transport} is told in its place: ${seen}`);
      const { gaps, opens, lastEventId } = await of(tab, transport);
      check(gaps[0].reason === "epoch" && gaps[0].from === old.at(-1), `${transport}: ${JSON.stringify(gaps)}`);
      check(lastEventId === fresh.at(-1), `${transport} keeps its new place: ${lastEventId}`);
      // A poll may have met no dead server: then it was never away.
      if (!transport.endsWith("poll")) check(opens.at(-1).outcome === "gap", `${transport}: ${JSON.stringify(opens)}`);
      proved("D-04", `realtime-js in Chromium over ${transport}: a restart that lost the log`);
    }
  },

  async "what was trimmed while away is a gap, and nothing else is"(context) {
    const here = await world({ keep: 10 });
    const tab = await page(context, here);
    const old = await here.publish(30);
    for (const transport of TRANSPORTS) {
      await read(tab, transport, here.events, { transports: [transport], start: old[4] });
      await read(tab, `${transport} in time`, here.events, { transports: [transport], start: old[19] });
      await until(`${transport} reads`, async () => (await order(tab, transport)).at(-1) === 30);
      const seen = await order(tab, transport);
      check(seen.join() === ["gap", ...Array.from({ length: 10 }, (_, at) => 21 + at)].join(), `${transport}: ${seen}`);
      await unbroken(`${transport} in time`, () => order(tab, `${transport} in time`), 30, { from: 21 });
      check((await of(tab, `${transport} in time`)).opens[0].outcome === "resumed", `${transport} resumes where it can`);
      accepted("D-04", `realtime-js in Chromium over ${transport}: no gap where none is owed`);
      await close(tab, transport, `${transport} in time`);
    }
  },

  async "offline it waits, and online it is back at once"(context) {
    const here = await world();
    const tab = await page(context, here);
    // Waits that no test has the time for: only the event brings it back.
    const patient = { backoffMs: 200_000, backoffMsMax: 200_000 };
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport], ...patient });
    await here.publish(10);
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 10);
    await context.setOffline(true);
    await here.do("kill");
    await here.do("start");
    await here.publish(10);
    for (const transport of TRANSPORTS) {
      await until(`${transport} waits`, async () => (await of(tab, transport)).state === "waiting");
    }
    await here.publish(10);
    await tab.waitForTimeout(300);
    // Chromium itself may have sent a long-poll again that was cut off unanswered; it cannot have done so twice.
    for (const transport of TRANSPORTS) check((await order(tab, transport)).length <= 20, `${transport} is away`);
    await context.setOffline(false);
    for (const transport of TRANSPORTS) {
      await unbroken(`${transport} after online`, () => order(tab, transport), 30, { wait_ms: 3_000 });
    }
  },

  async "a hidden tab reads on, and a frozen one catches up"(context) {
    const here = await world();
    const tabs = await Tabs.of(context.browser());
    try {
      const [tab, front] = [await tabs.open(here, "/page/client.js"), await tabs.open(here, "/page/client.js")];
      await until("it is hidden", () => tab.evaluate(() => document.hidden));
      for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
      await here.publish(10);
      for (const transport of TRANSPORTS) await unbroken(`${transport}, hidden`, () => order(tab, transport), 10);
      await tab.freeze();
      await here.publish(10);
      await here.do("kill");
      await here.do("start");
      await here.publish(10);
      await tab.thaw();
      await tab.show();
      for (const transport of TRANSPORTS) {
        await unbroken(`${transport}, thawed`, () => order(tab, transport), 30);
        check((await of(tab, transport)).gaps.length === 0, `${transport} missed nothing`);
      }
      await front.show();
    } finally {
      await tabs.close();
    }
  },

  async "whoever looks at a tab again does not wait"(context) {
    const here = await world();
    const tabs = await Tabs.of(context.browser());
    try {
      const tab = await tabs.open(here, "/page/client.js");
      const patient = { backoffMs: 200_000, backoffMsMax: 200_000 };
      for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport], ...patient });
      await here.publish(10);
      for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 10);
      await tabs.open(here, "/page/client.js");
      await until("it is hidden", () => tab.evaluate(() => document.hidden));
      await here.do("kill");
      for (const transport of TRANSPORTS) {
        await until(`${transport} waits`, async () => (await of(tab, transport)).state === "waiting");
      }
      await here.do("start");
      await here.publish(10);
      await tab.show();
      for (const transport of TRANSPORTS) {
        await unbroken(`${transport}, looked at`, () => order(tab, transport), 20, { wait_ms: 3_000 });
      }
    } finally {
      await tabs.close();
    }
  },

  async "a WebSocket that is killed after it opened gives way to SSE, and the tab remembers"(context) {
    const here = await world({ door: true });
    const tab = await page(context, here);
    await here.do("door", { way: "kill-opened" });
    await here.publish(10);
    await read(tab, "rt", here.events);
    await unbroken("by SSE", () => order(tab, "rt"), 10);
    const { transport, opens, errors } = await of(tab, "rt");
    check(transport === "sse" && opens.length === 1, `SSE, and it alone opened: ${transport} ${JSON.stringify(opens)}`);
    check(errors.length === 1 && errors[0].kind === "network", `it says why: ${JSON.stringify(errors)}`);
    const sockets = async () => (await here.do("seen")).asked.filter(({ transport }) => transport === "websocket").length;
    check((await sockets()) === 1, "one WebSocket was tried");

    await tab.reload();
    await tab.evaluate(async () => { window.ours = await import("/page/client.js"); window.held = {}; });
    await read(tab, "rt", here.events);
    await unbroken("after a reload", () => order(tab, "rt"), 10);
    check((await sockets()) === 1, "the tab remembers, and tries no WebSocket");

    const other = await page(context, here);
    await here.do("door", { way: "open" });
    await read(other, "rt", here.events);
    await unbroken("another tab", () => order(other, "rt"), 10);
    check((await of(other, "rt")).transport === "websocket", "another tab has its own mind");
  },

  async "SSE that is held back, swallowed or cut gives way to long-poll"(context) {
    for (const how of ["hold", "hold-body", "cut", "foreign"]) {
      const here = await world();
      const tab = await page(context, here);
      await here.fault("sse", how);
      await here.publish(5);
      await read(tab, "rt", here.events, { transports: ["sse", "long-poll"], connectMs: 1_500 });
      await unbroken(`SSE ${how}`, () => order(tab, "rt"), 5);
      const { transport, errors, states } = await of(tab, "rt");
      check(transport === "long-poll", `SSE ${how} is given up: ${transport}`);
      const tries = states.filter(({ state, transport }) => state === "connecting" && transport === "sse").length;
      check(tries === (how === "cut" ? 3 : 1), `SSE ${how} was tried ${tries} times`);
      const kind = { hold: "silent", "hold-body": "silent", cut: "network", foreign: "foreign" }[how];
      check(errors.every((error) => error.kind === kind), `SSE ${how}: ${JSON.stringify(errors)}`);
      await tab.close();
    }
  },

  async "where nothing is the wire, every transport is tried, it is said, and there is no tight loop"(context) {
    const here = await world();
    const tab = await page(context, here);
    for (const transport of TRANSPORTS) await here.fault(transport, "foreign");
    await read(tab, "rt", here.events, { backoffMs: 400 });
    await tab.waitForTimeout(3_000);
    const { asked } = await here.do("seen");
    check(asked.length >= 4 && asked.length < 60, `${asked.length} requests in 3 s`);
    for (const transport of TRANSPORTS) check(asked.some((one) => one.transport === transport), `${transport} was tried`);
    const { errors, states } = await of(tab, "rt");
    check(errors.some(({ kind, message }) => kind === "foreign" && /expected/.test(message)), `${JSON.stringify(errors)}`);
    check(states.some(({ state, retryMs }) => state === "waiting" && retryMs >= 0), `it waits: ${JSON.stringify(states)}`);
    await here.do("heal");
    await here.publish(1);
    await unbroken("it is well again", () => order(tab, "rt"), 1);
  },

  async "an unreachable server is asked less and less often"(context) {
    const [here, gone] = [await world(), await world()];
    const tab = await page(context, here);
    await gone.do("kill");
    await read(tab, "rt", gone.events, { backoffMs: 200, backoffMsMax: 100_000 });
    await tab.waitForTimeout(4_000);
    const { states, errors, state } = await of(tab, "rt");
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryMs }) => retryMs);
    check(waits.length >= 2 && waits.length < 30, `not at once, again and again: ${waits}`);
    waits.forEach((wait, at) => check(wait <= 200 * 2 ** at, `wait ${at} is within its bound: ${waits}`));
    check(["waiting", "connecting"].includes(state), `it does not give up: ${state}`);
    check(errors.every(({ kind }) => kind === "network"), `it says why: ${JSON.stringify(errors)}`);
  },

  async "Retry-After is obeyed"(context) {
    const here = await world();
    const tab = await page(context, here);
    await here.publish(1);
    for (const transport of ["sse", "long-poll", "poll"]) {
      await here.fault(transport, "unavailable", 1);
      await read(tab, transport, here.events, { transports: [transport], backoffMs: 1, backoffMsMax: 1 });
      await unbroken(transport, () => order(tab, transport), 1);
      const { asked } = await here.do("seen");
      const [first, second] = asked.filter((one) => one.transport === transport);
      check(second.at_ms - first.at_ms >= 950, `${transport} came back after ${second.at_ms - first.at_ms} ms`);
      await close(tab, transport);
    }
  },

  async "across origins with a cookie, by every transport and by messages"(context) {
    const [home, stranger] = [await world(), await world()];
    const here = await world({ allow: [home.url], cookie: "s3cret" });
    await context.addCookies([{ name: "session", value: "s3cret", url: here.url }]);
    await here.publish(5);
    const tab = await page(context, home);
    for (const transport of TRANSPORTS) {
      await read(tab, transport, here.events, { transports: [transport], credentials: "include" });
      await unbroken(`${transport} across origins`, () => order(tab, transport), 5);
      const { echo } = await send(tab, transport, { by: transport });
      check(echo.by === transport, `a message beside ${transport} across origins`);
      accepted("P-CO-01", `realtime-js in Chromium across origins with a cookie, ${transport}`);
    }
    await here.do("kill");
    await here.do("start");
    await here.publish(5);
    for (const transport of TRANSPORTS) await unbroken(`${transport} resumes`, () => order(tab, transport), 10);
    proved("P-CO-02", "realtime-js in Chromium resumes across origins by every transport");

    const strange = await page(context, stranger);
    await read(strange, "rt", here.events, { credentials: "include", backoffMs: 300 });
    await strange.waitForTimeout(1_500);
    const { seen, errors, state } = await of(strange, "rt");
    check(seen === 0 && errors.length > 0 && state !== "open", `a stranger reads nothing: ${JSON.stringify({ seen, state })}`);
    proved("P-CO-01", "realtime-js in Chromium from an origin that is not listed");
  },

  async "a token that has run out is asked for again once"(context) {
    const here = await world({ token: "first", door: true });
    const tab = await page(context, here);
    await here.publish(3);
    const tokens = ["first", "second", "never asked for"];
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport], tokens });
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 3);
    await here.do("token", { token: "second" });
    await here.publish(3);
    const goesOn = async (transport) => {
      const isRefused = async () => (await of(tab, transport)).told.some(({ unauthorized }) => unauthorized);
      await until(`${transport} asks for another token`, isRefused);
      // Polls ask for a token with every request: these are to be the good ones.
      for (let n = 0; n < 3; n += 1) {
        await here.publish(1);
        await unbroken(`${transport} with the second token`, () => order(tab, transport), here.published);
      }
      const { told, errors } = await of(tab, transport);
      const fresh = told.filter(({ unauthorized }) => unauthorized).map(({ token }) => token);
      check(fresh.join() === "second", `${transport} asks for another one once: ${JSON.stringify(told)}`);
      return errors;
    };
    // A server that expires what it let in says so by a code; the next poll is refused by a status.
    await here.do("close-sockets", { code: 4401 });
    for (const transport of ["websocket", "long-poll", "poll"]) {
      const errors = await goesOn(transport);
      check(errors.length === 0, `${transport} makes no fuss: ${JSON.stringify(errors)}`);
    }
    await here.do("kill");
    await here.do("start");
    await goesOn("sse");
    const { asked } = await here.do("seen");
    for (const transport of ["sse", "long-poll", "poll"]) {
      const refused = asked.filter((one) => one.transport === transport && one.status === 401);
      check(refused.length === 1 && refused[0].token === "first", `${transport} was refused once: ${JSON.stringify(refused)}`);
    }
    proved("D-12", "realtime-js in Chromium: a token that has run out is refused in mid-stream");
    accepted("D-12", "realtime-js in Chromium: with a new one it goes on");
  },

  async "a token that is refused twice ends it with an error"(context) {
    const here = await world({ token: "right" });
    const tab = await page(context, here);
    await here.publish(1);
    const tokens = ["wrong", "wrong again", "right"];
    for (const transport of ["sse", "long-poll", "poll"]) {
      await read(tab, transport, here.events, { transports: [transport], tokens });
      await until(`${transport} stops`, async () => (await of(tab, transport)).state === "closed");
      const { errors, seen, readyState } = await of(tab, transport);
      check(errors.length === 1 && errors[0].kind === "unauthorized" && errors[0].status === 401, JSON.stringify(errors));
      check(seen === 0 && readyState === 2, `${transport} has read nothing`);
      const { asked } = await here.do("seen");
      check(asked.filter((one) => one.transport === transport).length === 2, `${transport} asked twice`);
    }
    // A browser hides the status of a handshake: the next transport finds out.
    await read(tab, "any", here.events, { tokens });
    await until("any stops", async () => (await of(tab, "any")).state === "closed");
    check((await of(tab, "any")).errors.at(-1).kind === "unauthorized", "and says why");
  },

  async "a thousand tricky payloads are equal by every transport"(context) {
    const here = await world();
    const tab = await page(context, here);
    for (const transport of TRANSPORTS) await read(tab, `${transport} live`, here.events, { transports: [transport] });
    for (const transport of TRANSPORTS) {
      await until(`${transport} is live`, async () => (await of(tab, `${transport} live`)).lives === 1);
    }
    const truth = await here.do("tricky", { seed: 4_242, count: 1_000 });
    for (const when of ["live", "replayed"]) {
      for (const transport of TRANSPORTS) {
        const name = `${transport} ${when}`;
        if (when === "replayed") await read(tab, name, here.events, { transports: [transport] });
        await until(`${name}: all come`, async () => (await of(tab, name)).seen === truth.length, 30_000);
        const seen = await tab.evaluate(async (name) => {
          const { seen } = window.held[name];
          const sums = await window.ours.digests(seen);
          return seen.map(({ id, name }, at) => ({ id, name, sha1: sums[at] }));
        }, name);
        for (const [at, { id, name: called, sha1 }] of truth.entries()) {
          const is = `${name}: payload ${at}, ${called}`;
          check(seen[at].id === id && seen[at].name === called, `${is}: id and name`);
          check(seen[at].sha1 === sha1, `${is} is what was published`);
        }
        await close(tab, name);
        proved("A-13", `1,000 tricky payloads through realtime-js in Chromium by ${transport}, ${when}`);
      }
    }
  },

  async "a message has its reply on every transport, and over a switch"(context) {
    const here = await world();
    const tab = await page(context, here);
    const words = [null, 0, "😀\r\n\0\u2028", [1, [2]], { a: { b: "\ufeff" } }];
    await read(tab, "rt", here.events);
    let sent = 0;
    for (const transport of TRANSPORTS) {
      await tab.evaluate((transport) => window.held.rt.rt.switch(transport), transport);
      for (const word of words) {
        const { echo, heard } = await send(tab, "rt", word);
        sent += 1;
        check(JSON.stringify(echo) === JSON.stringify(word) && heard === sent, `${transport}: ${JSON.stringify(word)} comes back`);
      }
    }
    const { heard, asked } = await here.do("seen");
    check(heard.length === sent && heard.every(({ event }) => event === "note"), "each was heard once, by its name");
    check(asked.filter(({ transport }) => transport === "post").length === 3 * words.length, "by POST beside all but the WebSocket");
  },

  async "a message whose answer is lost is sent again under its key"(context) {
    const here = await world();
    const tab = await page(context, here);
    await read(tab, "rt", here.events, { transports: ["sse"] });
    await until("it is open", async () => (await of(tab, "rt")).state === "open");
    await here.fault("post", "lose-answer", 2);
    const { echo } = await send(tab, "rt", "precious");
    check(echo === "precious", "it is answered in the end");
    const { asked, heard } = await here.do("seen");
    check(heard.length === 1, `it was heard once: ${JSON.stringify(heard)}`);
    const posts = asked.filter(({ transport }) => transport === "post");
    check(posts.length === 3 && posts[0].key?.length > 10, `three tries: ${JSON.stringify(posts)}`);
    check(new Set(posts.map(({ key }) => key)).size === 1, "under one key");
    proved("D-14", "realtime-js in Chromium: a message whose answer was lost twice");
  },

  async "what is sent while away waits, within a bound"(context) {
    const here = await world();
    const tab = await page(context, here);
    await read(tab, "rt", here.events, { sendsMax: 5 });
    await until("it is open", async () => (await of(tab, "rt")).state === "open");
    await here.do("kill");
    await until("it is not", async () => (await of(tab, "rt")).state !== "open");
    await tab.evaluate(() => {
      window.outcomes = [0, 1, 2, 3, 4, 5].map((n) => window.held.rt.rt.send(n).then(({ echo }) => echo, ({ kind }) => kind));
    });
    await here.do("start");
    const outcomes = await tab.evaluate(() => Promise.all(window.outcomes));
    check(outcomes.join() === "0,1,2,3,4,full", `five wait, the sixth is told: ${outcomes}`);
    const { heard } = await here.do("seen");
    check(heard.map(({ data }) => data).join() === "0,1,2,3,4", `each once, in order: ${JSON.stringify(heard)}`);
  },

  async "the end is an event, and nobody asks again"(context) {
    const here = await world();
    const tab = await page(context, here);
    await here.publish(3);
    for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
    for (const transport of TRANSPORTS) await unbroken(transport, () => order(tab, transport), 3);
    const looped = tab.evaluate(async (url) => {
      const numbers = [];
      for await (const { data } of new window.ours.Realtime(url, { start: "-1" })) numbers.push(data.n);
      return numbers;
    }, here.events);
    await until("the loop reads", async () => (await here.do("seen")).readers >= 3);
    await here.do("end");
    for (const transport of TRANSPORTS) {
      await until(`${transport} ends`, async () => (await of(tab, transport)).state === "closed");
      const { ends, errors } = await of(tab, transport);
      check(ends === 1 && errors.length === 0, `${transport} says the end: ${JSON.stringify({ ends, errors })}`);
      proved("D-13", `realtime-js in Chromium: the end by ${transport}`);
    }
    check((await looped).join() === "1,2,3", "a loop ends with it");
    const { asked } = await here.do("seen");
    await tab.waitForTimeout(700);
    check((await here.do("seen")).asked.length === asked.length, "nobody asks again");
  },
};

// A walk that takes each ordered pair of transports once and begins at the first (Hierholzer).
function everyPair() {
  const left = new Map(TRANSPORTS.map((from) => [from, TRANSPORTS.filter((to) => to !== from)]));
  const [path, walk] = [[TRANSPORTS[0]], []];
  while (path.length > 0) {
    const next = left.get(path.at(-1)).pop();
    if (next) path.push(next);
    else walk.unshift(path.pop());
  }
  const pairs = walk.slice(1).map((to, at) => [walk[at], to]);
  check(new Set(pairs.map(String)).size === 12, `each ordered pair once: ${pairs.join(" ")}`);
  return pairs;
}

const browser = await launch();
try {
  await play(browser, { ...scenarios, ...pasted(control) });
} finally {
  await browser.close();
}
