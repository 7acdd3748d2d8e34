// The four ways of reading one URL, each as
//
//   open(url, cursor, hear) -> { close(), send(data) -> Promise }
//
// `hear` gets { id, event, data } for every message, controls included, and { event: "state", data } when the
// connection changes. A transport keeps its own place and comes back with it, after a jittered pause that grows.

export const names = ["poll", "long-poll", "sse", "websocket"];

export function open(name, url, cursor, hear) {
  return { poll, "long-poll": longPoll, sse, websocket }[name](url, cursor, hear);
}

const POLL_MS = 1000;

function poll(url, cursor, hear) {
  return pages(url, cursor, hear, {}, POLL_MS);
}

function longPoll(url, cursor, hear) {
  return pages(url, cursor, hear, { Prefer: "wait=20" }, 0);
}

// Asks, hands on the page, asks again.
function pages(url, cursor, hear, headers, pauseMs) {
  const abort = new AbortController();
  (async () => {
    let failures = 0;
    let etag;
    while (!abort.signal.aborted) {
      try {
        const asked = { Accept: "application/json", ...headers, ...(etag && { "If-None-Match": etag }) };
        const response = await fetch(withCursor(url, cursor), { headers: asked, signal: abort.signal, cache: "no-store" });
        if (![200, 204, 304].includes(response.status)) throw new Error(`status ${response.status}`);
        failures = 0;
        hear({ event: "state", data: "open" });
        const page = response.status === 200 ? await response.json() : {};
        if (page.gap) hear({ id: page.gap.to, event: "$gap", data: page.gap });
        for (const message of page.events ?? []) hear(message);
        const next = page.next ?? response.headers.get("Stream-Next-Offset") ?? cursor;
        // The tag names the page that a cursor gives: it is of use while the place does not move.
        etag = next === cursor ? response.headers.get("ETag") : undefined;
        cursor = next;
        if (page.closed) return hear({ event: "state", data: "closed" });
        await pause(pauseMs, abort.signal);
      } catch (error) {
        if (abort.signal.aborted) return;
        hear({ event: "state", data: "waiting" });
        await pause(backoff(failures++), abort.signal);
      }
    }
  })();
  return { close: () => abort.abort(), send: (data) => post(url, data) };
}

// EventSource comes back by itself with the last id it saw; a first cursor goes into the URL.
function sse(url, cursor, hear) {
  const source = new EventSource(withCursor(url, cursor));
  const listen = (name) =>
    source.addEventListener(name, (event) => hear({ id: event.lastEventId, event: name, data: JSON.parse(event.data) }));
  ["figures", "$open", "$gap", "$live", "$end"].forEach(listen);
  source.onopen = () => hear({ event: "state", data: "open" });
  source.onerror = () => hear({ event: "state", data: source.readyState === EventSource.CLOSED ? "closed" : "waiting" });
  return { close: () => source.close(), send: (data) => post(url, data) };
}

function websocket(url, cursor, hear) {
  let socket;
  let closed = false;
  let failures = 0;
  let refs = 0;
  const replies = new Map();

  const connect = () => {
    const address = withCursor(url, cursor);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address, "realtime.v1");
    socket.onopen = () => hear({ event: "state", data: "open" });
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.event === "$reply") return reply(message);
      failures = 0;
      if (message.id) cursor = message.id;
      hear(message);
    };
    socket.onclose = async () => {
      for (const [, { reject }] of replies) reject(new Error("the connection closed"));
      replies.clear();
      if (closed) return;
      hear({ event: "state", data: "waiting" });
      await pause(backoff(failures++));
      if (!closed) connect();
    };
  };
  const reply = ({ ref, data, error }) => {
    const waiting = replies.get(ref);
    replies.delete(ref);
    if (error) waiting?.reject(new Error(error.title));
    else waiting?.resolve(data);
  };

  connect();
  return {
    close() {
      closed = true;
      socket.close();
    },
    send: (data) =>
      new Promise((resolve, reject) => {
        if (socket.readyState !== WebSocket.OPEN) return reject(new Error("not connected"));
        const ref = ++refs;
        replies.set(ref, { resolve, reject });
        socket.send(JSON.stringify({ ref, event: "echo", data }));
      }),
  };
}

async function post(url, data) {
  const response = await fetch(`${url}?event=echo`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function withCursor(url, cursor) {
  const address = new URL(url, location.href);
  if (cursor) address.searchParams.set("offset", cursor);
  return address;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

// Full jitter under a ceiling that doubles, and never a tight loop.
function backoff(failures) {
  return 100 + Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
