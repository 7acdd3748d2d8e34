// The four transports, as the page shows them.

export const TRANSPORTS = [
  {
    name: "poll",
    label: "Polling, once a second",
    short: "Polling",
    holds: 0, // of the six connections, for as long as it reads
    example: "polling.rs",
    byHand: (url) => `curl '${url}?offset=last-2'`,
  },
  {
    name: "long-poll",
    label: "Long-polling",
    short: "Long-polling",
    holds: 1,
    example: "long_polling.rs",
    byHand: (url) => `curl -H 'Prefer: wait=20' ${url}`,
  },
  {
    name: "sse",
    label: "Server-Sent Events",
    short: "SSE",
    holds: 1,
    example: "sse.rs",
    byHand: (url) => `curl -N -H 'Accept: text/event-stream' ${url}`,
  },
  {
    name: "websocket",
    label: "WebSocket",
    short: "WebSocket",
    holds: 0, // browsers count WebSockets apart
    example: "websocket.rs",
    byHand: (url) => `npx wscat -s realtime.v1 -c ${url.replace("http", "ws")}`,
  },
];

export const byHand = (transport, url) => transport.byHand(url);
