// A chart of the last seconds. Its right edge is now, by the server's clock, whatever has arrived: what the page does
// not know yet is shaded.

import uPlot from "./vendor/uPlot.esm.js";
import { serverNow } from "./clock.js";
import { colour } from "./colours.js";

const SECONDS = 15; // the marks below name them
const SAMPLES_MAX = 400;
const HEIGHT = 150;
const CORES_MAX = 8; // more lines than this are no longer lines

const percent = { range: [0, 100], unit: "%" };
const upFromZero = (unit, least) => ({ range: (_, __, max) => [0, Math.max(max ?? 0, least) * 1.1], unit });
const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

const VIEWS = {
  cpu: { axis: percent, label: "Load of the processors, percent", lines: cores },
  memory: { axis: percent, label: "Memory in use, percent", lines: () => [({ mem }) => (100 * mem.used) / mem.total] },
  network: {
    axis: upFromZero("kB/s", 10),
    label: "Network in and out, kilobytes a second",
    lines: () => [({ net }) => net.received / 1000, ({ net }) => net.sent / 1000],
  },
  load: { axis: upFromZero("", 1), label: "Load average over a minute", lines: () => [({ load }) => load] },
};

// The mean of all cores, and each of them thinly.
function cores(count) {
  const each = Array.from({ length: Math.min(count, CORES_MAX) }, (_, core) => ({ cpu }) => cpu[core]);
  return [({ cpu }) => mean(cpu), ...each];
}

export class Chart {
  #samples = [];
  #view = "cpu";
  #plot = null;
  #cores = 0;

  constructor(root) {
    this.root = root;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(root);
  }

  add(figures) {
    this.#samples.push(figures);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    if (figures.cpu.length !== this.#cores) {
      this.#cores = figures.cpu.length;
      this.remake();
    }
  }

  // Forgets what it has: after a gap no line may bridge what is missing.
  clear() {
    this.#samples = [];
  }

  show(view) {
    this.#view = view;
    this.remake();
  }

  draw() {
    if (!this.#plot) return;
    const since = serverNow() - (SECONDS + 10) * 1000;
    const samples = this.#samples.filter(({ at }) => at > since);
    const lines = VIEWS[this.#view].lines(this.#cores);
    this.#plot.setData([samples.map(({ at }) => at / 1000), ...lines.map((line) => samples.map(line))]);
  }

  remake() {
    this.#plot?.destroy();
    const { axis, lines, label } = VIEWS[this.#view];
    const all = colours(this.root);
    const series = lines(this.#cores).map((_, index) => ({
      stroke: index === 0 ? all.line : all.more,
      width: index === 0 ? 2 : 1,
      points: { show: false },
    }));
    const axes = { stroke: all.text, grid: { stroke: all.grid, width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const options = {
      ...this.#size(),
      padding: [8, 14, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: window }, y: { range: axis.range } },
      axes: [
        { ...axes, size: 26, gap: 8, splits: marks, values: (_, splits) => splits.map(ago) },
        { ...axes, size: 40, values: (_, splits) => splits.map((value) => `${value}${axis.unit === "%" ? " %" : ""}`) },
      ],
      series: [{}, ...series],
      hooks: { drawClear: [(plot) => shade(plot, all.shade)] },
    };
    this.root.setAttribute("aria-label", `${label}, over the last ${SECONDS} seconds`);
    this.#plot = new uPlot(options, [[], ...series.map(() => [])], this.root);
  }

  #size() {
    return { width: Math.max(120, this.root.clientWidth), height: HEIGHT };
  }
}

function window() {
  const now = serverNow() / 1000;
  return [now - SECONDS, now];
}

// Of the x axis: they stand still, the line moves.
const marks = (plot) => [15, 10, 5, 0].map((seconds) => plot.scales.x.max - seconds);

const ago = (_, mark) => ["-15 s", "-10 s", "-5 s", "now"][mark];

// From the last sample to the right edge.
function shade(plot, colour) {
  const times = plot.data[0];
  if (!times.length) return;
  const { left, top, width, height } = plot.bbox;
  const from = Math.min(left + width, Math.max(left, plot.valToPos(times.at(-1), "x", true)));
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(from, top, left + width - from, height);
}

function colours(root) {
  const of = (name) => colour(root, name);
  return { line: of("of"), more: of("line-more"), text: of("muted"), grid: of("grid"), shade: of("shade") };
}
