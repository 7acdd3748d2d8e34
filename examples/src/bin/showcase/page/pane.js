// A pane: it holds a place in the log (the cursor) and reads on from it, by one transport or another.

import * as clock from "./clock.js";
import { Chart } from "./chart.js";
import { Delays, Tally } from "./tally.js";
import * as poll from "./transports/poll.js";
import * as longPoll from "./transports/long_poll.js";
import * as sse from "./transports/sse.js";
import * as websocket from "./transports/websocket.js";

export const transports = [poll, longPoll, sse, websocket];

const START = "last-80"; // what fills the chart at the usual pace
const CUT_MS = 1500; // long enough to miss something
const WAIT_FIRST_MS = 5_000;
const WAIT_MAX_MS = 60_000;
const WAIT_LEAST_MS = 200;

export class Pane {
  // What the transports use: where to read, from which place on, and how to send.
  cursor = START;
  etag = null;
  send = null;

  onfigures = () => {};
  tally = new Tally();
  #delays = new Delays();
  #liveSince = null;
  #failures = 0;
  #turn = new AbortController();
  #pause = 0;

  constructor(root, number, transport) {
    this.root = root;
    this.number = number;
    this.url = `/events/${number}`;
    this.transport = transport;
    this.chart = new Chart(root.querySelector(".chart"));
    this.#fill();
  }

  // ---- reading

  // One turn after another, each by the transport of the moment, with a wait behind it.
  async run() {
    this.say("connecting");
    for (;;) {
      this.#turn = new AbortController();
      const { signal } = this.#turn;
      await sleep(await this.#read(signal), signal);
      if (!signal.aborted) continue;
      // Cut, or moved.
      this.#turn = new AbortController();
      await sleep(this.#pause, this.#turn.signal);
      this.away("resuming");
    }
  }

  // Returns how long to wait. A transport says {wait}: go on after so many milliseconds, {failed}: come back later,
  // or {over}: nothing will ever follow.
  async #read(signal) {
    const outcome = await this.transport.read(this, signal).catch((error) => ({ failed: error.message }));
    if (signal.aborted) return 0;
    if (outcome.over) {
      this.say("the source has ended");
      return Infinity;
    }
    if (outcome.failed === undefined) return outcome.wait;
    if (outcome.forget) this.cursor = START;
    const wait = outcome.wait ?? this.#backoff();
    this.away(`${outcome.failed}; again in ${(wait / 1000).toFixed(1)} s`);
    return wait;
  }

  // At random up to five seconds, then ten, then twenty: clients that were thrown out together come back apart.
  #backoff() {
    const most = Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** this.#failures++);
    return WAIT_LEAST_MS + Math.random() * most;
  }

  // A message, event or control: the envelope, whatever the transport.
  take({ id, event, data }) {
    this.#failures = 0;
    if (event === "figures") this.#figures(data);
    if (event === "$gap") this.#gap(data);
    if (id) this.cursor = id; // after every event, and after every control that has one
  }

  // Caught up with the tail.
  live(cursor) {
    this.#failures = 0;
    this.cursor = cursor ?? this.cursor;
    this.#liveSince ??= clock.serverNow();
    this.say("live");
  }

  // Not connected. What is published till it is again says nothing about how long the transport takes.
  away(state) {
    this.#liveSince = null;
    this.say(state);
  }

  #figures(figures) {
    const isNew = this.tally.see(figures.seq);
    for (const name of ["received", "lost", "repeated"]) this.#show(name, this.tally[name].toLocaleString("en"));
    this.root.dataset.seq = figures.seq;
    if (!isNew) return;
    if (this.#liveSince !== null && figures.at >= this.#liveSince) {
      this.#delays.add(clock.serverNow() - figures.at);
    }
    this.chart.add(figures);
    this.onfigures(figures);
    this.#text(".latest", latest(figures));
  }

  #gap({ reason }) {
    this.tally.gap();
    this.root.dataset.seq = 0;
    this.chart.clear();
    const what = reason === "epoch" ? "server restarted: gap epoch" : `events are gone: gap ${reason}`;
    this.#text(".note", `${what}, at ${new Date().toLocaleTimeString("en-GB")}`);
  }

  // ---- what one can do to it

  // Breaks the connection off. The pane comes back with its cursor.
  cut() {
    this.#stop(CUT_MS, `cut; back in ${CUT_MS / 1000} s`);
  }

  // Goes on by another transport, from the same place.
  moveTo(name) {
    this.transport = transports.find((transport) => transport.name === name);
    this.etag = null;
    this.#delays.clear();
    this.#text("h2", this.transport.label);
    for (const figure of ["delay", "requests", "empties", "bytes"]) this.#show(figure, "–");
    this.#stop(0, "moving");
  }

  #stop(pause, state) {
    this.#pause = pause;
    this.say(state);
    this.#turn.abort();
  }

  // To the server and back: a frame where there is a socket, else a POST to the same URL.
  async echo(text) {
    const t0 = clock.now();
    const way = this.send ? "frame" : "POST";
    const ask = this.send ?? ((event, data) => post(this.url, event, data));
    const reply = await ask("echo", { t0, text });
    const t1 = clock.now();
    clock.sample(reply.t0, reply.server, t1);
    return `“${reply.text}” back in ${ms(t1 - t0)} by ${way}`;
  }

  // ---- showing

  say(state) {
    this.#text(".state", state);
    this.root.dataset.state = state.split(/[; ]/)[0];
  }

  // What the transport has cost so far, as the server counts it.
  showCost({ requests, empties, events, body_bytes, head_bytes }) {
    const per = (bytes) => (events ? Math.round(bytes / events).toLocaleString("en") : "–");
    const rate = events ? ` (${ratio(requests / events)} per event)` : "";
    this.#show("requests", `${requests.toLocaleString("en")}${rate}`);
    this.#show("empties", empties.toLocaleString("en"));
    this.#show("bytes", `${per(body_bytes + head_bytes)} (heads ${per(head_bytes)})`);
  }

  draw() {
    this.chart.draw();
    const { median, worst } = this.#delays;
    if (median !== undefined) this.#show("delay", `${ms(median)}, worst ${ms(worst)}`);
  }

  #fill() {
    const { root, transport } = this;
    const select = root.querySelector("select");
    for (const { name, short } of transports) select.append(new Option(short, name, false, name === transport.name));
    select.addEventListener("change", () => this.moveTo(select.value));
    root.querySelector(".cut").addEventListener("click", () => this.cut());
    root.querySelector(".echo").addEventListener("submit", async (submit) => {
      submit.preventDefault();
      const output = root.querySelector("output");
      output.textContent = "…";
      const said = this.echo(root.querySelector("input").value);
      output.textContent = await said.catch((error) => `no echo: ${error.message}`);
    });
    root.setAttribute("aria-label", `Pane ${this.number}`);
    this.#text("h2", transport.label);
  }

  #show(name, text) {
    this.#text(`[data-of="${name}"]`, text);
  }

  #text(selector, text) {
    const node = this.root.querySelector(selector);
    if (node.textContent !== text) node.textContent = text;
  }
}

// A message by POST, for transports that only go down.
export async function post(url, event, data) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`${url}?event=${event}`, { method: "POST", headers, body: JSON.stringify(data) });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

function sleep(ms, signal) {
  if (!ms || signal.aborted) return undefined;
  return new Promise((resolve) => {
    const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const ms = (value) => (value < 10 ? `${Math.max(0, value).toFixed(1)} ms` : `${Math.round(value)} ms`);
const ratio = (value) => (value < 0.01 ? "under 0.01" : value.toFixed(2));

function latest({ cpu, mem, net, load }) {
  const mean = cpu.reduce((sum, core) => sum + core, 0) / cpu.length;
  const gib = (bytes) => (bytes / 2 ** 30).toFixed(1);
  const rate = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB/s` : `${(bytes / 1e6).toFixed(1)} MB/s`);
  return `CPU ${mean.toFixed(0)} % · memory ${gib(mem.used)} of ${gib(mem.total)} GiB · in ${rate(net.received)}, \
out ${rate(net.sent)} · load ${load.toFixed(2)}`;
}
