// A pane: it reads the log by one transport, keeps its place, and goes on from there whatever happens.

import * as clock from "./clock.js";
import { Chart } from "./chart.js";
import { Delays, Tally } from "./tally.js";
import { Realtime } from "./realtime-js/realtime.js";
import { byHand } from "./transports.js";

const START = "last-80"; // what fills the chart at the usual pace
const CUT_MS = 1500; // long enough to miss something
const POLL_MS = 1000;

export class Pane {
  onfigures = () => {};
  tally = new Tally();
  #delays = new Delays();
  #liveSince = null;
  #cut = null;
  #rt = null;

  constructor(root, number, transport, transports) {
    this.root = root;
    this.number = number;
    this.url = `/events/${number}`;
    this.transport = transport;
    this.transports = transports;
    this.chart = new Chart(root.querySelector(".chart"));
    this.#fill();
    this.#read(START);
  }

  // ---- reading

  #read(start) {
    const rt = new Realtime(this.url, { transports: [this.transport.name], start, pollMs: POLL_MS });
    this.#rt = rt;
    rt.addEventListener("figures", ({ data }) => this.#figures(data));
    rt.addEventListener("duplicate", () => this.#repeated());
    rt.addEventListener("gap", ({ reason }) => this.#gap(reason));
    rt.addEventListener("live", () => this.#live());
    rt.addEventListener("error", ({ message }) => this.#away(message));
    rt.addEventListener("state", ({ state, retryMs }) => {
      if (state === "waiting") this.#away(`waiting; again in ${(retryMs / 1000).toFixed(1)} s`);
    });
    rt.addEventListener("end", () => this.#away("the source has ended"));
  }

  #live() {
    this.#liveSince = clock.serverNow();
    this.#say("live");
  }

  // Not connected. What is published till it is again says nothing about how long the transport takes.
  #away(state) {
    this.#liveSince = null;
    this.#say(state);
  }

  #figures(figures) {
    const isNew = this.tally.see(figures.seq);
    this.#showTally();
    this.root.dataset.seq = figures.seq;
    if (!isNew) return;
    if (this.#liveSince !== null && figures.at >= this.#liveSince) {
      this.#delays.add(clock.serverNow() - figures.at);
    }
    this.chart.add(figures);
    this.onfigures(figures);
    this.#text(".latest", latest(figures));
  }

  // The client drops what it knows by its cursor; here it is counted.
  #repeated() {
    this.tally.repeated += 1;
    this.#showTally();
  }

  #gap(reason) {
    this.tally.gap();
    this.root.dataset.seq = 0;
    this.chart.clear();
    const what = reason === "epoch" ? "another log: gap epoch" : `events are gone: gap ${reason}`;
    this.#text(".note", `${what}, at ${new Date().toLocaleTimeString("en-GB")}`);
  }

  // ---- what one can do to it

  // Breaks the connection off, and forgets all but the cursor. What comes back knows nothing else.
  cut() {
    clearTimeout(this.#cut);
    const place = this.#rt.lastEventId || START;
    this.#rt.close();
    this.#away(`cut; back in ${CUT_MS / 1000} s`);
    this.#cut = setTimeout(() => {
      this.#away("resuming");
      this.#read(place);
    }, CUT_MS);
  }

  // Goes on by another transport, from the same place.
  moveTo(name) {
    clearTimeout(this.#cut);
    const place = this.#rt.lastEventId || START;
    this.#rt.close();
    this.transport = this.transports.find((transport) => transport.name === name);
    this.#delays.clear();
    for (const figure of ["delay", "requests", "empties", "bytes"]) this.#show(figure, "–");
    this.#label();
    this.chart.remake();
    this.#away("moving");
    this.#read(place);
  }

  // To the server and back: a frame where there is a socket, else a POST to the same URL.
  async echo(text) {
    const t0 = clock.now();
    const reply = await this.#rt.send({ t0, text }, { event: "echo", signal: AbortSignal.timeout(10_000) });
    const t1 = clock.now();
    clock.sample(reply.t0, reply.server, t1);
    return `“${reply.text}” back in ${ms(t1 - t0)} by ${this.transport.name === "websocket" ? "frame" : "POST"}`;
  }

  // ---- showing

  #say(state) {
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
    for (const { name, short } of this.transports) {
      select.append(new Option(short, name, false, name === transport.name));
    }
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
    this.#label();
    this.#say("connecting");
  }

  // What the pane is, and how to have the same without it.
  #label() {
    const { root, transport } = this;
    root.dataset.transport = transport.name;
    this.#text("h2", transport.label);
    this.#text(".byhand code", byHand(transport, `${location.origin}/events`));
    const example = root.querySelector(".example");
    example.href = `/examples/${transport.example}`;
    example.textContent = transport.example;
  }

  #showTally() {
    for (const name of ["received", "lost", "repeated"]) this.#show(name, this.tally[name].toLocaleString("en"));
  }

  #show(name, text) {
    this.#text(`[data-of="${name}"]`, text);
  }

  #text(selector, text) {
    const node = this.root.querySelector(selector);
    if (node.textContent !== text) node.textContent = text;
  }
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
