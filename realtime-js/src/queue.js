// What `for await` reads from: a bounded queue between a reader that pushes and a loop that pulls.

/**
 * @template T
 * @implements {AsyncIterableIterator<T>}
 */
export class Queue {
  /** @type {T[]} */
  #items = [];
  /** @type {Array<{ resolve: (result: IteratorResult<T>) => void, reject: (error: unknown) => void }>} */
  #waiting = [];
  #isClosed = false;
  #isFull = false;
  /** @type {unknown} */
  #error;

  /** @param {number} max @param {() => void} onRoom @param {() => void} onDone */
  constructor(max, onRoom, onDone) {
    this.max = max;
    this.onRoom = onRoom;
    this.onDone = onDone;
  }

  /** From the moment that it is, until half of it is read. */
  isFull() {
    return this.#isFull;
  }

  /** @param {T} item */
  push(item) {
    const next = this.#waiting.shift();
    if (next) return next.resolve({ value: item, done: false });
    this.#items.push(item);
    this.#isFull ||= this.#items.length >= this.max;
  }

  /** @param {unknown} [error] */
  close(error) {
    this.#isClosed = true;
    this.#error = error;
    this.onDone();
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#error) reject(this.#error);
      else resolve({ value: undefined, done: true });
      this.#error = undefined;
    }
  }

  /** @returns {Promise<IteratorResult<T>>} */
  async next() {
    if (this.#items.length) {
      const value = /** @type {T} */ (this.#items.shift());
      if (this.#isFull && this.#items.length <= this.max / 2) {
        this.#isFull = false;
        this.onRoom();
      }
      return { value, done: false };
    }
    if (this.#error) {
      const error = this.#error;
      this.#error = undefined;
      throw error;
    }
    if (this.#isClosed) return { value: undefined, done: true };
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** @returns {Promise<IteratorResult<T>>} */
  async return() {
    this.#items = [];
    this.#isFull = false;
    this.close();
    this.onRoom();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
