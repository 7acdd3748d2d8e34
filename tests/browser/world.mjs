// Worlds: servers that a script brings up, breaks and mends; see tests/tests/browser/server/control.rs.

import { check, until } from "./browser.mjs";

export class World {
  // Settings are those of `Settings` there.
  static async of(control, settings = {}) {
    const { world, url } = await command(control, { do: "world", ...settings });
    return new World(control, world, url);
  }

  constructor(control, id, url) {
    Object.assign(this, { control, id, url, events: `${url}/events`, published: 0 });
  }

  // Causes something; see `Command` there.
  do(what, more = {}) {
    return command(this.control, { do: what, world: this.id, ...more });
  }

  // Publishes the next `count` events {"n": 1}, {"n": 2} ..; their cursors.
  publish(count = 1) {
    const from = this.published + 1;
    this.published += count;
    return this.do("publish", { from, to: this.published });
  }

  fault(on, how, times) {
    return this.do("fault", { fault: { on, how, times } });
  }
}

async function command(control, body) {
  const answer = await fetch(control, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const value = await answer.json();
  if (!answer.ok) throw new Error(`${JSON.stringify(body)}: ${value.error}`);
  return value;
}

// A page of a world with a module of ours in it, its exports under `window.ours`.
export async function open(context, world, module) {
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log(`uncaught on a page of ${world.url}: ${error}`));
  await page.goto(world.url);
  await page.evaluate(async (module) => { window.ours = await import(module); window.held = {}; }, module);
  return page;
}

// Publishes one event after the other while something is done, so that it is done in mid-stream.
export async function whilePublishing(world, something, { every_ms = 5 } = {}) {
  let done = false;
  const publishing = (async () => {
    while (!done) {
      await world.publish(1);
      await new Promise((resolve) => setTimeout(resolve, every_ms));
    }
  })();
  try {
    return await something();
  } finally {
    done = true;
    await publishing;
  }
}

// Waits for the last event, and then all must be there, once and in order.
export async function unbroken(what, numbers, last, { from = 1, wait_ms } = {}) {
  await until(`${what}: ${last} comes`, async () => {
    const seen = await numbers();
    return seen.at(-1) >= last || seen.at(-1) || 0;
  }, wait_ms);
  const seen = await numbers();
  const expected = Array.from({ length: last - from + 1 }, (_, at) => from + at);
  const wrong = seen.findIndex((n, at) => n !== expected[at]);
  check(wrong < 0 && seen.length === expected.length, `${what}: ${from} to ${last}, each once and in order; \
${seen.length} came, and after ${JSON.stringify(seen.slice(Math.max(0, wrong - 3), wrong))} came ${seen[wrong]}`);
}

// Runs scenarios, some at a time, each in a context of its own; says how long each took, and fails if one did.
export async function play(browser, scenarios, { at_once = 3, only = process.env.ONLY } = {}) {
  const waiting = Object.entries(scenarios).filter(([name]) => !only || name.includes(only));
  const failures = [];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, scenario] = next;
      const context = await browser.newContext();
      const began = Date.now();
      try {
        await scenario(context);
        console.log(`${name}: ${Date.now() - began} ms`);
      } catch (error) {
        failures.push(name);
        console.log(`${name}: FAILED after ${Date.now() - began} ms: ${error.stack}`);
      } finally {
        await context.close();
      }
    }
  };
  await Promise.all(Array.from({ length: at_once }, worker));
  if (failures.length > 0) throw new Error(`${failures.length} did not hold: ${failures.join(", ")}`);
}

// Says that a rule was proved; call it where it just was.
export function proved(id, what) {
  console.log(`case\t${id}\t${what}`);
}

export function accepted(id, what) {
  console.log(`twin\t${id}\t${what}`);
}
