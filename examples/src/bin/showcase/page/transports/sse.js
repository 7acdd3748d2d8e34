// Server-Sent Events by the browser's own EventSource. It comes back by itself, with Last-Event-ID; only the first
// request has the place in its URL, for EventSource can set no header.

export const name = "sse";
export const label = "Server-Sent Events";
export const short = "SSE";
export const holds = 1;

const EVENTS = ["figures", "$open", "$gap", "$live", "$end"];

export function read(pane, signal) {
  const source = new EventSource(`${pane.url}?offset=${pane.cursor}`);
  return new Promise((resolve) => {
    const finish = (outcome) => {
      source.close();
      resolve(outcome);
    };
    signal.addEventListener("abort", () => finish({}));
    for (const name of EVENTS) {
      source.addEventListener(name, ({ type, data, lastEventId }) => {
        if (signal.aborted) return;
        const message = { id: lastEventId, event: type, data: JSON.parse(data) };
        pane.take(message);
        if (name === "$live") pane.live(lastEventId);
        if (name === "$end" && message.data.retry === false) finish({ over: true });
      });
    }
    source.onerror = () => {
      if (signal.aborted) return;
      if (source.readyState === EventSource.CLOSED) finish({ failed: "refused" });
      else pane.away("lost the connection, the browser comes back by itself");
    };
  });
}
