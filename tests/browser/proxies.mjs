// realtime-js in Chromium through real proxies, with the configs that users are given: `node proxies.mjs CONTROL`.

import { check, launch, until } from "./browser.mjs";
import { TRANSPORTS, of, order, page, read, send } from "./reading.mjs";
import { World, play, proved, unbroken, whilePublishing } from "./world.mjs";

const control = process.argv[2];
// Whether a reload cuts the streams that are open.
const PROXIES = { nginx: true, haproxy: true, varnish: false };

const scenarios = Object.fromEntries(Object.entries(PROXIES).flatMap(([proxy, isCutting]) => [
  [`${proxy}: every transport has each event before the next is sent, and is answered`, alone(proxy, async (here, tab) => {
    await here.publish(10);
    await readAll(tab, here);
    for (let n = 11; n <= 20; n += 1) {
      await here.publish(1);
      for (const transport of TRANSPORTS) await unbroken(`${transport} through ${proxy}`, () => order(tab, transport), n);
    }
    await everyoneIsAnswered(proxy, here, tab);
    for (const transport of TRANSPORTS) {
      const { opens, errors } = await of(tab, transport);
      check(opens.length === 1 && errors.length === 0, `${transport} is in one piece: ${JSON.stringify({ opens, errors })}`);
      proved("P-PX-01", `realtime-js in Chromium over ${transport}: ${proxy} holds nothing back`);
    }
  })],

  [`${proxy}: a reload in mid-stream loses and repeats nothing`, alone(proxy, async (here, tab) => {
    await readAll(tab, here);
    for (const transport of TRANSPORTS) {
      await until(`${transport} is open`, async () => (await of(tab, transport)).state === "open");
    }
    await whilePublishing(here, async () => {
      for (let reload = 1; reload <= 2; reload += 1) {
        await here.do("reload");
        // Its old processes are at their end when they have let go of the streams; Varnish has none.
        for (const transport of isCutting ? ["websocket", "sse"] : []) {
          await until(`${transport} is cut and comes back`, async () => (await of(tab, transport)).opens.length > reload);
        }
      }
      const tail = here.published;
      for (const transport of TRANSPORTS) {
        await until(`${transport} goes on`, async () => (await order(tab, transport)).at(-1) > tail);
      }
    });
    await everyoneIsAnswered(proxy, here, tab);
    for (const transport of TRANSPORTS) {
      await unbroken(`${transport} over two reloads of ${proxy}`, () => order(tab, transport), here.published);
      const { gaps, opens, twice } = await of(tab, transport);
      check(gaps.length === 0 && twice === 0, `${transport} has no gap and nothing twice: ${JSON.stringify({ gaps, twice })}`);
      check(opens.slice(1).every(({ outcome }) => outcome === "resumed"), `${transport} resumes: ${JSON.stringify(opens)}`);
      proved("P-PX-03", `realtime-js in Chromium over ${transport}: two reloads of ${proxy} in mid-stream`);
    }
  })],

  [`${proxy}: one reader moves through every transport`, alone(proxy, async (here, tab) => {
    await read(tab, "rt", here.events);
    await whilePublishing(here, async () => {
      for (const transport of [...TRANSPORTS, ...TRANSPORTS.toReversed()]) {
        await tab.evaluate((transport) => window.held.rt.rt.switch(transport), transport);
        const tail = here.published;
        await until(`it goes on by ${transport}`, async () => {
          const now = await of(tab, "rt");
          return (now.state === "open" && now.transport === transport && now.order.at(-1) > tail) || now.state;
        });
      }
    });
    await unbroken(`over seven switches through ${proxy}`, () => order(tab, "rt"), here.published);
    proved("D-05", `realtime-js in Chromium moves through every transport behind ${proxy}`);
  })],
]));

// ---- what they have in common

// A scenario with a world behind a proxy, and a page that was loaded through it.
function alone(proxy, scenario) {
  return async (context) => {
    const here = await World.of(control, { through: proxy });
    try {
      await scenario(here, await page(context, here));
    } finally {
      await here.do("gone");
    }
  };
}

async function readAll(tab, here) {
  for (const transport of TRANSPORTS) await read(tab, transport, here.events, { transports: [transport] });
}

async function everyoneIsAnswered(proxy, here, tab) {
  for (const transport of TRANSPORTS) {
    const { echo } = await send(tab, transport, { by: transport });
    check(echo.by === transport, `a message of ${transport} is answered through ${proxy}`);
  }
  const { heard, asked } = await here.do("seen");
  check(heard.map(({ data }) => data.by).join() === TRANSPORTS.join(), `each was heard once: ${JSON.stringify(heard)}`);
  const posts = asked.filter(({ transport }) => transport === "post");
  check(posts.length >= 3, `by POST beside all but the WebSocket: ${JSON.stringify(posts)}`);
}

const browser = await launch();
try {
  await play(browser, scenarios);
} finally {
  await browser.close();
}
