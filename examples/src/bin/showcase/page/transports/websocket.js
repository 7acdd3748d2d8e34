// WebSocket with the subprotocol realtime.v1: every frame is one envelope, and the page can send as well.

export const name = "websocket";
export const label = "WebSocket";
export const short = "WebSocket";
export const holds = 0; // browsers count WebSockets apart from the six

const REPLY_WAIT_MS = 5000;

export function read(pane, signal) {
  const url = new URL(`${pane.url}?offset=${pane.cursor}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, "realtime.v1");
  const waiting = new Map(); // ref -> what to do with the reply
  let ended = null;

  return new Promise((resolve) => {
    const finish = (outcome) => {
      socket.onclose = null; // it comes late: the pane may have a new socket by then
      pane.send = null;
      for (const reply of waiting.values()) reply({ error: { title: "the connection is gone" } });
      socket.close();
      resolve(outcome);
    };
    signal.addEventListener("abort", () => finish({}));
    socket.onopen = () => {
      if (!signal.aborted) pane.send = (event, data) => send(socket, waiting, event, data);
    };
    socket.onmessage = ({ data }) => {
      if (signal.aborted) return;
      const message = JSON.parse(data);
      if (message.event === "$reply") return waiting.get(message.ref)?.(message);
      pane.take(message);
      if (message.event === "$live") pane.live(message.id);
      if (message.event === "$end") ended = message.data;
    };
    socket.onclose = ({ code }) => {
      if (ended?.retry === false || code === 1000) return finish({ over: true });
      finish({ failed: `closed with ${code}`, wait: ended?.retry });
    };
  });
}

let ref = 0;

function send(socket, waiting, event, data) {
  const mine = String(++ref);
  return new Promise((resolve, reject) => {
    const done = (message) => {
      waiting.delete(mine);
      clearTimeout(timer);
      if (message.error) reject(new Error(message.error.title));
      else resolve(message.data);
    };
    const timer = setTimeout(done, REPLY_WAIT_MS, { error: { title: "no reply" } });
    waiting.set(mine, done);
    socket.send(JSON.stringify({ ref: mine, event, data }));
  });
}
