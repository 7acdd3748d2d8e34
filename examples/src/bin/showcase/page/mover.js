// One reader that goes through all transports while its numbers stay unbroken: by hand, or by itself.

import { Tally } from "./tally.js";
import { Realtime } from "./realtime-js/realtime.js";

const TOUR_MS = 3000;
const MARKS_MAX = 240;

export class Mover {
  tally = new Tally();
  #tour = null;
  #moves = 0;

  constructor(root, number, transports) {
    this.root = root;
    this.number = number;
    this.names = transports.map(({ name }) => name);
    this.trail = root.querySelector(".trail");
    this.rt = new Realtime(`/events/${number}`, { transports: this.names, start: "last-8", pollMs: 1000 });
    this.rt.addEventListener("figures", ({ data }) => this.#figures(data));
    this.rt.addEventListener("duplicate", () => this.#count(() => (this.tally.repeated += 1)));
    this.rt.addEventListener("gap", ({ reason }) => this.#gap(reason));
    this.rt.addEventListener("state", () => this.#state());
    this.#fill(transports);
  }

  moveTo(name) {
    if (name === this.rt.transport) return;
    this.#moves += 1;
    this.#show("moves", this.#moves);
    this.rt.switch(name);
    this.#state();
  }

  // From one to the next, again and again.
  tour(on) {
    clearInterval(this.#tour);
    this.#tour = on ? setInterval(() => this.moveTo(this.#next()), TOUR_MS) : null;
    this.root.querySelector(".tour").setAttribute("aria-pressed", String(on));
  }

  #next() {
    return this.names[(this.names.indexOf(this.rt.transport) + 1) % this.names.length];
  }

  #figures({ seq }) {
    this.#count(() => this.tally.see(seq));
    this.root.dataset.seq = seq;
    this.#show("seq", seq);
    const mark = document.createElement("li");
    mark.dataset.transport = this.rt.transport;
    this.trail.append(mark);
    while (this.trail.children.length > MARKS_MAX) this.trail.firstChild.remove();
    // What is full loses its oldest row.
    while (this.trail.scrollHeight > this.trail.clientHeight) this.trail.firstChild.remove();
  }

  #gap(reason) {
    this.tally.gap();
    this.trail.replaceChildren();
    this.root.dataset.seq = 0;
    this.root.querySelector(".note").textContent = `gap ${reason}, at ${new Date().toLocaleTimeString("en-GB")}`;
  }

  #count(see) {
    see();
    for (const name of ["received", "lost", "repeated"]) this.#show(name, this.tally[name]);
  }

  #state() {
    const { state, transport } = this.rt;
    this.root.dataset.state = state === "open" ? "live" : state;
    this.root.querySelector(".state").textContent = state === "open" ? `live, by ${transport}` : state;
    for (const radio of this.root.querySelectorAll(".stations input")) radio.checked = radio.value === transport;
  }

  #fill(transports) {
    const stations = this.root.querySelector(".stations");
    for (const { name, short } of transports) {
      const label = document.createElement("label");
      label.dataset.transport = name;
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: "station", value: name });
      label.append(radio, ` ${short}`);
      stations.append(label);
    }
    stations.addEventListener("change", ({ target }) => {
      this.tour(false);
      this.moveTo(target.value);
    });
    const tour = this.root.querySelector(".tour");
    tour.addEventListener("click", () => this.tour(tour.getAttribute("aria-pressed") !== "true"));
    this.#state();
  }

  #show(name, figure) {
    this.root.querySelector(`[data-of="${name}"]`).textContent = figure.toLocaleString("en");
  }
}
