// What each transport costs over time: a line for each, from the server's own counts.

import uPlot from "./vendor/uPlot.esm.js";
import { colour, dash } from "./colours.js";

const SECONDS = 60;
const HEIGHT = 160;
const SAMPLES_MAX = 120;
const FIRST = 2; // samples with the replay in them: they say nothing about the price of an event

export class CostCharts {
  #samples = []; // {at, rates: {requests: {poll: 1.2, ..}, bytes: {..}}}, oldest first
  #last = null;
  #count = 0;
  #plots = [];

  constructor(root, transports) {
    this.transports = transports;
    this.charts = [...root.querySelectorAll(".chart")];
    const key = root.querySelector(".key");
    for (const { name, short } of transports) {
      const item = document.createElement("li");
      item.dataset.transport = name;
      item.textContent = short;
      key.append(item);
    }
    const watch = new ResizeObserver(() => this.#plots.forEach((plot, at) => plot.setSize(size(this.charts[at]))));
    for (const chart of this.charts) watch.observe(chart);
    this.remake();
  }

  // Totals so far, by transport: {requests, bytes}.
  add(totals) {
    const at = performance.now() / 1000;
    const last = this.#last;
    this.#last = { at, totals };
    if (!last || at - last.at < 0.5 || this.#count++ < FIRST) return;
    const rates = {};
    for (const { name } of this.transports) {
      const rise = (figure) => Math.max(0, totals[name][figure] - last.totals[name][figure]) / (at - last.at);
      rates[name] = { requests: rise("requests"), bytes: rise("bytes") };
    }
    this.#samples.push({ at, rates });
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    this.#draw();
  }

  remake() {
    this.#plots.forEach((plot) => plot.destroy());
    this.#plots = this.charts.map((chart) => new uPlot(this.#options(chart), this.#data(chart), chart));
    this.#describe();
  }

  #draw() {
    this.#plots.forEach((plot, at) => plot.setData(this.#data(this.charts[at])));
    this.#describe();
  }

  #data({ dataset }) {
    const now = this.#samples.at(-1)?.at ?? 0;
    const ages = this.#samples.map(({ at }) => at - now);
    return [ages, ...this.transports.map(({ name }) => this.#samples.map(({ rates }) => rates[name][dataset.of]))];
  }

  // For who does not see the lines.
  #describe() {
    const rates = this.#samples.at(-1)?.rates;
    for (const chart of this.charts) {
      const told = ({ name, short: title }) => `${title} ${rates ? short(rates[name][chart.dataset.of]) : "not known yet"}`;
      chart.setAttribute("aria-label", `A second: ${this.transports.map(told).join(", ")}`);
    }
  }

  #options(chart) {
    const axes = {
      stroke: colour(chart, "muted"),
      grid: { stroke: colour(chart, "grid"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui",
    };
    return {
      ...size(chart),
      padding: [8, 14, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: [-SECONDS, 0] },
        y: { range: (_, __, max) => [0, Math.max(max ?? 0, 1) * 1.1] },
      },
      axes: [
        { ...axes, size: 26, gap: 8, splits: [-60, -40, -20, 0], values: (_, splits) => splits.map((at) => (at ? `${at} s` : "now")) },
        { ...axes, size: 48, values: (_, splits) => splits.map(short) },
      ],
      series: [
        {},
        ...this.transports.map(({ name }) => ({
          stroke: colour(chart, name),
          dash: dash(name),
          width: 2,
          points: { show: false },
        })),
      ],
    };
  }
}

const size = (chart) => ({ width: Math.max(120, chart.clientWidth), height: HEIGHT });

function short(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(value >= 10_000 ? 0 : 1)} k`;
  return value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}
