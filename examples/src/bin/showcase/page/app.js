// The page: four panes, the server's count of what each costs, and how many tabs are open.

import { Pane } from "/pane.js";
import { names } from "/transports.js";

const template = document.querySelector("#pane");
const parent = document.querySelector("#panes");
const panes = names.map((name) => new Pane(name, template, parent));

// Charts are drawn once a frame at most, whatever comes in.
(function frame() {
  for (const pane of panes) pane.show();
  setTimeout(() => requestAnimationFrame(frame), 100);
})();

async function costs() {
  try {
    const response = await fetch("/stats", { cache: "no-store" });
    const stats = await response.json();
    for (const pane of panes) pane.cost(stats[pane.home]);
  } catch {
    // The panes say themselves that the server is away.
  }
  setTimeout(costs, 1000);
}
costs();

// The clocks are compared once at the start: a delay means nothing before.
setTimeout(() => panes.forEach((pane) => pane.echo()), 500);

// A browser opens six connections to an origin over HTTP/1.1, for all its tabs together; WebSockets are not among
// them. A tab holds two (SSE and long-poll) and needs one more for polls.
const tabs = new BroadcastChannel("tabs");
const me = Math.random().toString(36).slice(2);
const seen = new Map();
tabs.onmessage = ({ data }) => (data.gone ? seen.delete(data.tab) : seen.set(data.tab, Date.now()));
setInterval(() => {
  tabs.postMessage({ tab: me });
  for (const [tab, at] of seen) if (Date.now() - at > 5000) seen.delete(tab);
  document.querySelector("#tabs").hidden = seen.size < 2;
}, 1000);
addEventListener("pagehide", () => tabs.postMessage({ tab: me, gone: true }));

// For whoever looks with the console open, and for the tests.
window.panes = Object.fromEntries(panes.map((pane) => [pane.home, pane]));
