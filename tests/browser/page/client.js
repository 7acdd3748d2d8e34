// Readers made of realtime-js, with all that they said on the way.

import { Realtime } from "/realtime-js/realtime.js";

export { digests } from "./native.js";
export { Realtime };

const NAMES = ["message", "tick", "text", "json", "binary"];

// As `new Realtime(url, options)`, and `tokens`: the first is used, and after each refusal the next.
export function read(url, { tokens = [], ...options } = {}) {
  const told = [];
  const rt = new Realtime(tokens.length > 0 ? (about) => withToken(url, about, tokens, told) : url, options);
  const reader = { rt, told, seen: [], order: [], states: [], opens: [], gaps: [], errors: [], lives: 0, ends: 0, twice: 0 };
  for (const name of NAMES) {
    rt.addEventListener(name, ({ data, lastEventId }) => {
      reader.seen.push({ id: lastEventId, name, data });
      reader.order.push(data?.n);
    });
  }
  rt.addEventListener("open", ({ outcome, transport }) => reader.opens.push({ outcome, transport }));
  rt.addEventListener("live", () => { reader.lives += 1; });
  rt.addEventListener("duplicate", () => { reader.twice += 1; });
  rt.addEventListener("end", () => { reader.ends += 1; });
  rt.addEventListener("gap", ({ reason, from, to }) => {
    reader.gaps.push({ reason, from, to });
    reader.order.push("gap");
  });
  rt.addEventListener("error", ({ error: { kind, status, message } }) => reader.errors.push({ kind, status, message }));
  rt.addEventListener("state", ({ state, transport, retryMs }) => {
    reader.states.push({ state, transport, retryMs, at_ms: performance.now() });
  });
  return reader;
}

// A WebSocket sets no header, so the token goes into the URL of all.
function withToken(url, about, tokens, told) {
  if (about.unauthorized) tokens.shift();
  told.push({ ...about, token: tokens[0] });
  return `${url}?token=${tokens[0]}`;
}

// What can leave the page.
export function report({ rt, seen, ...rest }) {
  const { state, transport, lastEventId, readyState } = rt;
  return { ...rest, state, transport, lastEventId, readyState, seen: seen.length };
}
