// Readers made of realtime-js on a page: what is done to them and looked at; see page/client.js.

import { open } from "./world.mjs";

export const TRANSPORTS = ["websocket", "sse", "long-poll", "poll"];

// Quick where a page would be patient, so that a test is.
const QUICK = { start: "-1", pollMs: 30, backoffMs: 100, backoffMsMax: 400, waitSeconds: 2, connectMs: 3_000 };

export const page = (context, here) => open(context, here, "/page/client.js");

export function read(tab, name, url, options = {}) {
  return tab.evaluate(([name, url, options]) => {
    window.held[name] = window.ours.read(url, options);
  }, [name, url, { ...QUICK, ...options }]);
}

export function of(tab, name) {
  return tab.evaluate((name) => window.ours.report(window.held[name]), name);
}

// The numbers of the events, with a word for each gap.
export function order(tab, name) {
  return tab.evaluate((name) => window.held[name].order, name);
}

export function send(tab, name, data) {
  return tab.evaluate(([name, data]) => window.held[name].rt.send(data, { event: "note" }), [name, data]);
}

export function close(tab, ...names) {
  return tab.evaluate((names) => names.forEach((name) => window.held[name].rt.close()), names);
}
