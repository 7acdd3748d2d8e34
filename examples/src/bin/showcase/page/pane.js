// One pane: a reader of /events/NAME, its chart, and what it costs.

import uPlot from "/vendor/uPlot.esm.js";
import { names, open } from "/transports.js";

const POINTS = 120;
const CHART_HEIGHT_PX = 150;

export class Pane {
  cursor = null;
  lastSeq = null;
  received = 0;
  lost = 0;
  repeated = 0;
  gaps = 0;
  delaysMs = [];
  clockOffsetMs = 0;
  points = [[], [], []];

  constructor(name, template, parent) {
    this.home = name;
    this.url = `/events/${name}`;
    const root = template.content.firstElementChild.cloneNode(true);
    this.part = (role) => root.querySelector(`[data-role="${role}"]`);
    root.dataset.pane = name;
    root.setAttribute("aria-label", `reader ${name}`);
    parent.append(root);

    const select = this.part("transport");
    for (const transport of names) select.append(new Option(transport, transport, false, transport === name));
    select.addEventListener("change", () => this.moveTo(select.value));
    this.part("cut").addEventListener("click", () => this.cut());
    this.part("echo").addEventListener("click", () => this.echo());
    this.part("curl").textContent = curlOf(name, new URL(this.url, location.href));

    this.chart = this.draw(this.part("chart"));
    this.moveTo(name);
  }

  // Goes on by another transport from the very place that has been read.
  moveTo(transport) {
    this.connection?.close();
    this.transport = transport;
    this.part("title").textContent = transport;
    this.state("connecting");
    const generation = (this.generation = (this.generation ?? 0) + 1);
    this.connection = open(transport, this.url, this.cursor, (message) => {
      // What a closed connection still had in hand is not read: the next one brings it.
      if (generation === this.generation) this.hear(message);
    });
  }

  // As if the network had gone: the connection is dropped and, after a second, resumed with the cursor.
  cut() {
    this.connection.close();
    this.generation += 1;
    this.state("cut");
    setTimeout(() => this.moveTo(this.transport), 1000);
  }

  hear({ id, event, data }) {
    if (event === "state") return this.state(data);
    if (id) this.cursor = id;
    if (event === "$gap") {
      this.gaps += 1;
      // After a gap the count begins anew: what is missing has been said.
      this.lastSeq = null;
      this.note(`gap: ${data.reason}${data.reason === "epoch" ? " (the server started over)" : ""}`);
    }
    if (event === "figures") this.take(data);
  }

  take(figures) {
    if (this.lastSeq !== null) {
      if (figures.seq <= this.lastSeq) this.repeated += 1;
      else this.lost += figures.seq - this.lastSeq - 1;
    }
    this.lastSeq = figures.seq;
    this.received += 1;
    this.delaysMs.push(Date.now() + this.clockOffsetMs - figures.at);
    if (this.delaysMs.length > 40) this.delaysMs.shift();

    const cpu = figures.cpu.reduce((sum, core) => sum + core, 0) / figures.cpu.length;
    const memory = (100 * figures.memoryUsed) / figures.memoryTotal;
    [figures.at / 1000, cpu, memory].forEach((value, axis) => {
      this.points[axis].push(value);
      if (this.points[axis].length > POINTS) this.points[axis].shift();
    });
    this.dirty = true;
    this.latest = figures;
  }

  // Sends the page's time and gets the server's: half of the way there and back is taken as the way there.
  async echo() {
    const sent = Date.now();
    try {
      const { at } = await this.connection.send({ sent });
      const back = Date.now();
      this.clockOffsetMs = at - (sent + back) / 2;
      this.delaysMs = [];
      this.note(`echo by ${this.transport === "websocket" ? "WebSocket" : "POST"} in ${back - sent} ms`);
      return true;
    } catch (error) {
      this.note(`echo failed: ${error.message}`);
      return false;
    }
  }

  show() {
    this.part("seq").textContent = this.lastSeq ?? "–";
    this.part("lost").textContent = this.lost;
    this.part("repeated").textContent = this.repeated;
    this.part("gaps").textContent = this.gaps;
    this.part("delay").textContent = this.delaysMs.length ? `${Math.max(0, Math.round(median(this.delaysMs)))} ms` : "–";
    if (this.latest) {
      const { cpu, load, received, sent } = this.latest;
      this.part("machine").textContent =
        `${cpu.length} cores ${cpu.map((core) => `${core} %`).join(" · ")} · load ${load.toFixed(2)} · ` +
        `in ${bytes(received)}/s · out ${bytes(sent)}/s`;
    }
    if (this.dirty) this.chart.setData(this.points);
    this.dirty = false;
  }

  cost({ requests, empties, deliveries, bytes: sent }) {
    this.part("requests").textContent = requests;
    this.part("empties").textContent = empties;
    this.part("per-event").textContent = deliveries ? `${Math.round(sent / deliveries)} B` : "–";
  }

  state(text) {
    this.part("state").textContent = text;
    this.part("state").dataset.state = text;
  }

  note(text) {
    this.part("note").textContent = text;
  }

  draw(parent) {
    const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: () => css("--muted"), grid: { stroke: () => css("--line") }, font: "11px system-ui" };
    const size = () => ({ width: parent.clientWidth, height: CHART_HEIGHT_PX });
    const chart = new uPlot(
      {
        ...size(),
        scales: { y: { range: [0, 100] } },
        axes: [axis, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => `${tick}%`) }],
        series: [{}, { label: "cpu", stroke: () => css("--accent"), width: 2 }, { label: "memory", stroke: () => css("--second"), width: 2 }],
        legend: { show: false },
        cursor: { show: false },
      },
      this.points,
      parent,
    );
    new ResizeObserver(() => chart.setSize(size())).observe(parent);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw());
    return chart;
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function bytes(count) {
  return count < 1024 ? `${count} B` : count < 1024 ** 2 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`;
}

function curlOf(name, url) {
  return {
    poll: `curl '${url}'`,
    "long-poll": `curl -H 'Prefer: wait=20' '${url}?offset=now'`,
    sse: `curl -N -H 'Accept: text/event-stream' '${url}'`,
    websocket: `new WebSocket('${url.href.replace("http", "ws")}', 'realtime.v1')`,
  }[name];
}
