// Polling: ask, take what is there, come back in a second. The ETag of the last answer makes "nothing new" a 304.

import { takePage, refused } from "./page.js";

export const name = "poll";
export const label = "Polling, once a second";
export const short = "Polling";
export const holds = 0; // connections it keeps for itself

const EVERY_MS = 1000;

export async function read(pane, signal) {
  const headers = { Accept: "application/json" };
  if (pane.etag) headers["If-None-Match"] = pane.etag;
  const response = await fetch(`${pane.url}?offset=${pane.cursor}`, { headers, cache: "no-store", signal });
  pane.etag = response.headers.get("ETag");
  if (response.status === 200) {
    const page = await response.json();
    takePage(pane, page);
    if (page.closed) return { over: true };
    if (!page.upToDate) return { wait: 0 }; // there is more, and each page is a step further
  } else if (response.status === 304) {
    pane.live(response.headers.get("Stream-Next-Offset"));
  } else {
    return refused(response);
  }
  // A little earlier or later than the others, so that many clients never ask in step.
  return { wait: EVERY_MS * (0.9 + Math.random() * 0.2) };
}
