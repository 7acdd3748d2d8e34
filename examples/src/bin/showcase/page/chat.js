// Two browsers in one room: what is said goes up by the same reader that brings down what the others say.

import { Realtime } from "./realtime-js/realtime.js";

const SHOWN_MAX = 50;

export class Chat {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector(".said");
    this.form = root.querySelector("form");
    this.rt = new Realtime("/chat");
    this.rt.addEventListener("said", ({ data }) => this.#hear(data));
    this.rt.addEventListener("gap", () => this.#note("some of what was said is gone"));
    this.rt.addEventListener("state", () => this.#state());
    this.form.elements.from.value = `Guest ${100 + Math.floor(Math.random() * 900)}`;
    this.form.addEventListener("submit", (submit) => this.#say(submit));
    this.#state();
  }

  async #say(submit) {
    submit.preventDefault();
    const { from, text } = this.form.elements;
    try {
      await this.rt.send({ from: from.value, text: text.value }, { event: "say" });
      text.value = "";
      this.#note("");
    } catch (error) {
      this.#note(`not said: ${error.message}`);
    }
  }

  #hear({ from, text }) {
    const line = document.createElement("li");
    const who = document.createElement("b");
    who.textContent = from;
    line.append(who, ` ${text}`);
    this.list.append(line);
    while (this.list.children.length > SHOWN_MAX) this.list.firstChild.remove();
    this.list.scrollTop = this.list.scrollHeight;
  }

  #state() {
    const { state, transport } = this.rt;
    this.root.dataset.state = state === "open" ? "live" : state;
    this.root.querySelector(".state").textContent = state === "open" ? `live, by ${transport}` : state;
  }

  #note(text) {
    this.root.querySelector(".note").textContent = text;
  }
}
