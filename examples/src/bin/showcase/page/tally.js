// Counts what was lost and what came twice, by the publisher's own numbers and before anything is filtered.

export class Tally {
  received = 0;
  lost = 0;
  repeated = 0;
  gaps = 0;
  #last = null;

  // What a gap names is not lost in silence: counting begins anew behind it.
  gap() {
    this.gaps += 1;
    this.#last = null;
  }

  // Whether the event is new.
  see(seq) {
    this.received += 1;
    if (this.#last !== null && seq <= this.#last) {
      this.repeated += 1;
      return false;
    }
    if (this.#last !== null) this.lost += seq - this.#last - 1;
    this.#last = seq;
    return true;
  }
}

// How long events took, publish to page. What was published before the connection was there says nothing about the
// transport, so it is left out.
export class Delays {
  #recent = [];
  static KEPT = 60;

  add(ms) {
    this.#recent.push(ms);
    if (this.#recent.length > Delays.KEPT) this.#recent.shift();
  }

  clear() {
    this.#recent = [];
  }

  get median() {
    const sorted = [...this.#recent].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  get worst() {
    return this.#recent.length ? Math.max(...this.#recent) : undefined;
  }
}
