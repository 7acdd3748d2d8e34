// The page: four panes that read one log, each by a transport of its own; one reader that moves; a room; what it all costs.

import * as clock from "./clock.js";
import * as costs from "./costs.js";
import * as tabs from "./tabs.js";
import { Chat } from "./chat.js";
import { CostCharts } from "./cost_charts.js";
import { Mover } from "./mover.js";
import { Pane } from "./pane.js";
import { Realtime } from "./realtime-js/realtime.js";
import { TRANSPORTS } from "./transports.js";

const FRAME_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100;
const TABS_MAX = 3;
const REPLY_MS = 10_000;

const element = (id) => document.getElementById(id);

const panes = TRANSPORTS.map((transport, index) => {
  const root = element("pane").content.firstElementChild.cloneNode(true);
  element("panes").append(root);
  return new Pane(root, String(index + 1), transport, TRANSPORTS);
});
for (const pane of panes) pane.onfigures = showPace;

const mover = new Mover(element("mover"), "5", TRANSPORTS);
const charts = new CostCharts(element("costs"), TRANSPORTS);
new Chat(element("chat"));

// What the page itself has to say goes up by one more reader: only its replies are heard.
const control = new Realtime("/events", { start: "now" });
const ask = (event, data) => control.send(data, { event, signal: AbortSignal.timeout(REPLY_MS) });

// ---- the clocks: a few round trips at once, then one now and then

async function compareClocks() {
  for (let round = 0; ; round += 1) {
    try {
      const t0 = clock.now();
      const { server } = await ask("echo", { t0 });
      clock.sample(t0, server, clock.now());
      element("clock").textContent = `${clock.offset().toFixed(1)} ms, give or take ${clock.uncertainty().toFixed(1)}`;
    } catch {
      // The panes say that the server is away.
    }
    await new Promise((resolve) => setTimeout(resolve, round < 5 ? 200 : 10_000 + Math.random() * 5_000));
  }
}

// ---- charts

let drawn = 0;

function draw(time) {
  requestAnimationFrame(draw);
  if (time - drawn < FRAME_MS) return;
  drawn = time;
  for (const pane of panes) pane.draw();
}

// ---- choices

element("view").addEventListener("change", ({ target }) => panes.forEach((pane) => pane.chart.show(target.value)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const pane of panes) pane.chart.remake();
  charts.remake();
});

// ---- the server's log, started over

element("restart").addEventListener("click", async () => {
  const says = element("restart-says");
  try {
    await ask("restart", null);
    says.textContent = `Started over at ${new Date().toLocaleTimeString("en-GB")}: every reader comes back to a gap.`;
  } catch (error) {
    says.textContent = `Not started over: ${error.message}`;
  }
});

// ---- how often is published, by anybody's choice

let paceSince = 0; // by the server's clock: figures from before it know nothing of our choice

function showPace({ at, every_ms }) {
  if (at < paceSince) return;
  for (const radio of element("pace").querySelectorAll("input")) radio.checked = Number(radio.value) === every_ms;
}

element("pace").addEventListener("change", async ({ target }) => {
  paceSince = Infinity;
  try {
    paceSince = (await ask("pace", { every_ms: Number(target.value) })).server;
  } catch {
    paceSince = 0; // the next figures say what holds
  }
});

// ---- tabs

async function watchTabs() {
  const open = await tabs.count();
  const held = panes.reduce((sum, pane) => sum + pane.transport.holds, 0);
  const warning = element("tabs");
  warning.hidden = !(open > TABS_MAX) && !(open * held >= 6);
  warning.textContent = `${open} ${open === 1 ? "tab keeps" : "tabs keep"} about ${open * held} of the six connections that a browser \
opens to one server over HTTP/1.1: requests wait for one another, and delays grow. Close a tab, or move panes to WebSocket.`;
}

element("origin").textContent = location.origin;
tabs.holdPlace();
setInterval(watchTabs, 2000);
compareClocks();
costs.watch((costOf) => {
  for (const pane of panes) pane.showCost(costOf(pane.number, pane.transport.name));
  charts.add(Object.fromEntries(TRANSPORTS.map(({ name }) => [name, spent(costOf, name)])));
});
requestAnimationFrame(draw);

// By the panes that stand on a transport now: they read the same events.
function spent(costOf, name) {
  const all = panes.map(({ number }) => costOf(number, name));
  const sum = (figure) => all.reduce((total, cost) => total + cost[figure], 0);
  return { requests: sum("requests"), bytes: sum("body_bytes") + sum("head_bytes") };
}
