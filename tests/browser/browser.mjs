// The browser, and what the tests that drive it have in common.

import { chromium } from "playwright-core";

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch(more = []) {
  const executablePath = process.env.REALTIME_CHROMIUM;
  if (!executablePath) throw new Error("REALTIME_CHROMIUM names no browser");
  return chromium.launch({ executablePath, args: [...ARGS, ...more] });
}

export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

// Asks until it holds, and says what it was otherwise.
export async function until(what, ask, wait_ms = 20_000) {
  const deadline = Date.now() + wait_ms;
  let last;
  for (;;) {
    last = await ask();
    if (last === true) return;
    if (Date.now() > deadline) throw new Error(`not within ${wait_ms} ms: ${what}; it is ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
