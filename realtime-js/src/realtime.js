// Events of a realtime mount, by whatever transport works. See README.md.

import { RealtimeError } from './errors.js';
import { settings } from './options.js';
import { Queue } from './queue.js';
import { Reader } from './reader.js';
import { Uplink } from './uplink.js';

/** @import { Options, Transport, Where } from './options.js' */
/** @import { SendOptions } from './uplink.js' */

export { RealtimeError };

/**
 * An event of the source. `data` is the JSON value, a string for text, a `Uint8Array` for bytes.
 * @typedef {MessageEvent<any> & { topic?: string, key?: string }} RealtimeEvent
 */
/** @typedef {Event & { outcome: 'fresh' | 'resumed' | 'gap', transport: Transport }} OpenEvent */
/**
 * What was between `from` and `to`, or some of it, is gone.
 * @typedef {Event & { reason: 'trimmed' | 'epoch' | 'diverged' | 'overflow' | 'source', from: string | null, to: string }} GapEvent
 */
/** @typedef {Event & { state: 'connecting' | 'open' | 'waiting' | 'closed', transport: Transport, retryMs?: number }} StateEvent */
/** @typedef {Event & { error: RealtimeError, message: string }} ErrorEvent */

export class Realtime extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;

  /** @type {((event: RealtimeEvent) => void) | null} */
  onmessage = null;
  /** @type {((event: OpenEvent) => void) | null} */
  onopen = null;
  /** @type {((event: ErrorEvent) => void) | null} */
  onerror = null;
  /** @type {((event: GapEvent) => void) | null} */
  ongap = null;
  /** @type {((event: StateEvent) => void) | null} */
  onstate = null;
  /** All that was retained has come. @type {((event: Event) => void) | null} */
  onlive = null;
  /** The source has ended; nothing will follow. @type {((event: Event) => void) | null} */
  onend = null;

  /** @type {Reader} */
  #reader;
  /** @type {Uplink} */
  #uplink;
  /** @type {Set<Queue<RealtimeEvent | GapEvent>>} */
  #queues = new Set();

  /**
   * @param {Where} url of the mount, or a function that is asked for it on every attempt
   * @param {Options} [options]
   * @throws {TypeError} naming the option that is wrong
   */
  constructor(url, options = {}) {
    super();
    const all = settings(url, options);
    for (const type of /** @type {const} */ (['message', 'open', 'error', 'gap', 'state', 'live', 'end'])) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(/** @type {any} */ (event)));
    }
    this.#reader = new Reader(
      all,
      (type, detail) => this.#emit(Object.assign(new Event(type), detail)),
      ({ id, event = 'message', topic, key, data }) => {
        const { url } = this;
        const origin = url && new URL(url).origin;
        const message = new MessageEvent(event, { data, lastEventId: id, origin });
        this.#emit(Object.assign(message, { topic, key }), true);
      },
      () => [...this.#queues].some((queue) => queue.isFull()),
    );
    this.#uplink = new Uplink(all, this.#reader);
    all.signal?.addEventListener('abort', () => this.close());
    // Whoever makes one has the time to listen before anything happens.
    queueMicrotask(() => (all.signal?.aborted ? this.close() : this.#reader.run()));
  }

  /** The URL as it is, or as the function gave it last. */
  get url() {
    return this.#reader.url;
  }

  /** As an EventSource has it: 0 connecting or waiting, 1 open, 2 closed. */
  get readyState() {
    return { connecting: 0, waiting: 0, open: 1, closed: 2 }[this.#reader.state];
  }

  get state() {
    return this.#reader.state;
  }

  get transport() {
    return this.#reader.transport;
  }

  /** The place: a cursor to keep and to come back with, on any transport (`start`). Empty before the first is known. */
  get lastEventId() {
    return this.#reader.place;
  }

  /**
   * Goes on over another transport, in mid-stream, from the same place.
   * @param {Transport} transport one of the option's
   * @throws {TypeError} it is none of them
   */
  switch(transport) {
    const { transports } = this.#reader.settings;
    if (!transports.includes(transport)) throw new TypeError(`transport is to be one of ${transports}`);
    this.#reader.switch(transport);
  }

  /**
   * Sends a message and gives the reply: of JSON the value, of text a string, of bytes a `Uint8Array`, `null` for none.
   * @param {unknown} data anything that turns into JSON
   * @param {SendOptions} [options]
   * @returns {Promise<any>} rejects with a `RealtimeError`
   */
  send(data, options) {
    return this.#uplink.send(data, options);
  }

  close() {
    this.#reader.close();
  }

  /**
   * Events and gaps, as they come from here on. Ends when the reader does. Who falls behind by `bufferMax` makes the reader
   * let go of its connection, and take it up at the same place once half of that is read: nothing is lost that the server keeps.
   * @returns {AsyncIterableIterator<RealtimeEvent | GapEvent>}
   */
  [Symbol.asyncIterator]() {
    const queue = new Queue(this.#reader.settings.bufferMax, () => this.#reader.wake(), () => this.#queues.delete(queue));
    if (this.state === 'closed') queue.close();
    else this.#queues.add(queue);
    return queue;
  }

  /** @param {any} event @param {boolean} [isMessage] */
  #emit(event, isMessage = event.type === 'gap') {
    this.dispatchEvent(event);
    if (isMessage) for (const queue of this.#queues) queue.push(event);
    if (event.type === 'open' && !isMessage) this.#uplink.pump();
    if (this.state === 'closed') {
      this.#uplink.close();
      for (const queue of this.#queues) queue.close(event.error);
    }
  }
}
