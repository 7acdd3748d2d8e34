// Long-polling: ask, and the answer waits for the first new event. Then ask again at once.

import { takePage, refused } from "./page.js";

export const name = "long-poll";
export const label = "Long-polling";
export const short = "Long-polling";
export const holds = 1;

const WAIT_SECONDS = 20;
const TOO_SOON_MS = 100;

export async function read(pane, signal) {
  const headers = { Accept: "application/json", Prefer: `wait=${WAIT_SECONDS}` };
  const asked = performance.now();
  const response = await fetch(`${pane.url}?offset=${pane.cursor}`, { headers, cache: "no-store", signal });
  if (response.status === 200) {
    const page = await response.json();
    takePage(pane, page);
    return page.closed ? { over: true } : { wait: 0 };
  }
  if (response.status === 204 || response.status === 304) {
    pane.cursor = response.headers.get("Stream-Next-Offset") ?? pane.cursor;
    // A server that does not wait must not make a tight loop of this one.
    const tooSoon = performance.now() - asked < TOO_SOON_MS;
    return { wait: tooSoon ? 1000 + Math.random() * 1000 : 0 };
  }
  return refused(response);
}
