// Readers made of what every browser has: EventSource, WebSocket, fetch.
//
// Each has `seen` (events, as {id, name, data}), `said` (controls, as {name, id, ...data}), `ended` (how it stopped, or
// null) and `close()`.

const NAMES = ["message", "tick", "text", "json", "binary"];
const CONTROLS = ["$open", "$gap", "$live", "$ping", "$end"];

export const readers = {
  sse(url, { withCredentials = false } = {}) {
    const source = new EventSource(url, { withCredentials });
    const reader = { seen: [], said: [], opened: 0, failed: 0, ended: null, close: () => source.close() };
    for (const name of NAMES) {
      source.addEventListener(name, ({ data, lastEventId }) => reader.seen.push({ id: lastEventId, name, data }));
    }
    for (const name of CONTROLS) {
      source.addEventListener(name, ({ data, lastEventId }) => {
        reader.said.push({ ...JSON.parse(data), name, id: lastEventId });
      });
    }
    source.onopen = () => { reader.opened += 1; };
    source.onerror = () => {
      reader.failed += 1;
      if (source.readyState === EventSource.CLOSED) reader.ended = "closed";
    };
    return reader;
  },

  // One event a frame, and nothing but its payload.
  bare(url) {
    const socket = new WebSocket(url.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    const reader = { seen: [], said: [], ended: null, close: () => socket.close(), send: (data) => socket.send(data) };
    socket.onmessage = ({ data }) => reader.seen.push({ data });
    socket.onopen = () => { [reader.protocol, reader.extensions] = [socket.protocol, socket.extensions]; };
    socket.onclose = ({ code, reason }) => { reader.ended = { code, reason }; };
    return reader;
  },

  v1(url) {
    const socket = new WebSocket(url.replace(/^http/, "ws"), "realtime.v1");
    const reader = { seen: [], said: [], ended: null, close: () => socket.close(), send: (data) => socket.send(data) };
    socket.onmessage = ({ data }) => take(reader, JSON.parse(data));
    socket.onopen = () => { [reader.protocol, reader.extensions] = [socket.protocol, socket.extensions]; };
    socket.onclose = ({ code, reason }) => { reader.ended = { code, reason }; };
    return reader;
  },

  poll: (url, options) => polling(url, { pause_ms: 20, ...options }),

  longPoll: (url, options) => polling(url, { headers: { prefer: "wait=5" }, ...options }),
};

// Asks, keeps the place, asks again: until the source is closed, or `close()`. Of requests that its cache might answer,
// Chromium sends one at a time for each URL, hence `no-store`.
function polling(url, { headers = {}, pause_ms = 0, credentials = "same-origin" } = {}) {
  const stop = new AbortController();
  const reader = { seen: [], said: [], asked: 0, empty: 0, ended: null, close: () => stop.abort() };
  const [path, query] = url.split("?offset=");
  let cursor = query;
  (async () => {
    while (!stop.signal.aborted) {
      const asked = cursor ? { ...headers, "last-event-id": cursor } : headers;
      reader.asked += 1;
      const answer = await fetch(path, { headers: asked, credentials, cache: "no-store", signal: stop.signal });
      cursor = answer.headers.get("stream-next-offset") ?? cursor;
      if (answer.status === 204) {
        reader.empty += 1;
        continue;
      }
      if (answer.status !== 200) throw new Error(`status ${answer.status}`);
      const page = await answer.json();
      if (page.gap) reader.said.push({ name: "$gap", ...page.gap });
      for (const event of page.events) take(reader, event);
      cursor = page.next;
      if (page.closed) {
        reader.ended = "closed";
        return;
      }
      if (page.upToDate && pause_ms > 0) await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  })().catch((error) => { reader.ended ??= String(error); });
  return reader;
}

function take(reader, { id, event: name = "message", data, encoding, ...rest }) {
  if (name.startsWith("$")) reader.said.push({ ...rest, ...data, name, id });
  else reader.seen.push({ id, name, data, encoding });
}

// ---- digests

// SHA-1 in hex of what each event carries, as bytes: JSON as its text, binary as itself.
export function digests(seen, { jsonIsText = false, binaryIsText = false } = {}) {
  return Promise.all(seen.map(async ({ name, data, encoding }) => {
    const is_base64 = encoding === "base64" || (binaryIsText && name === "binary");
    let bytes = data;
    if (is_base64) bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    else if (typeof data === "string" && (name !== "json" || jsonIsText)) bytes = new TextEncoder().encode(data);
    else if (!(data instanceof ArrayBuffer || ArrayBuffer.isView(data))) bytes = new TextEncoder().encode(JSON.stringify(data));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }));
}
