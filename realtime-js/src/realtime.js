// Events of a realtime mount, by whatever transport works. See README.md.

import { RealtimeError } from './errors.js';
import { settings } from './options.js';
import { reader } from './reader.js';
import { isFunction } from './request.js';
import { uplink } from './uplink.js';

/** @import { Options, Transport, Where } from './options.js' */
/** @import { SendOptions } from './uplink.js' */

export { RealtimeError };

/**
 * An event of the source. `data` is the JSON value, a string for text, a `Uint8Array` for bytes.
 * @typedef {MessageEvent<any> & { topic?: string, key?: string }} RealtimeEvent
 */
/** @typedef {Event & { outcome: 'fresh' | 'resumed' | 'gap', transport: Transport }} OpenEvent */
/**
 * Something behind `from` is gone; reading goes on at `to`.
 * @typedef {Event & { reason: 'trimmed' | 'epoch' | 'diverged' | 'overflow' | 'source', from: string | null, to: string }} GapEvent
 */
/** `duplicate`: an event that had come already, and is not told again. @typedef {Event & { lastEventId: string }} DuplicateEvent */
/** @typedef {Event & { state: 'connecting' | 'open' | 'waiting' | 'closed', transport: Transport, retryMs?: number }} StateEvent */
/** @typedef {Event & { error: RealtimeError }} ErrorEvent */
/** @typedef {{ push: (event: any) => void, isFull: boolean }} Buffer */

export class Realtime extends EventTarget {
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

  #settings;
  #reader;
  #uplink;
  /** @type {Set<Buffer>} */
  #buffers = new Set();

  /**
   * @param {Where} url of the mount, or a function that is asked for it on every attempt
   * @param {Options} [options]
   * @throws {TypeError} naming the option that is wrong, and what it takes
   */
  constructor(url, options) {
    super();
    const all = (this.#settings = settings(url, options));
    // The fields above are all that there is so far.
    for (const name of Object.keys(this)) {
      this.addEventListener(name.slice(2), (event) => /** @type {any} */ (this)[name]?.(event));
    }
    this.#reader = reader(
      all,
      this.#emit,
      () => [...this.#buffers].some((buffer) => buffer.isFull),
    );
    this.#uplink = uplink(all, this.#reader);
    const { signal } = all;
    signal?.addEventListener('abort', () => this.close(), { signal: this.#reader.signal });
    // Whoever makes one has the time to listen before anything happens.
    queueMicrotask(() => (signal?.aborted ? this.close() : this.#reader.run()));
  }

  /** The URL; empty where it is a function. */
  get url() {
    const { url } = this.#settings;
    return isFunction(url) ? '' : /** @type {string} */ (url);
  }

  /** As an EventSource has it: 0 connecting or waiting, 1 open, 2 closed. */
  get readyState() {
    return this.state === 'closed' ? 2 : Number(this.state === 'open');
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
    const { transports } = this.#settings;
    if (!transports.includes(transport)) {
      throw new TypeError(`switch takes ${transports}`);
    }
    this.#reader.switch(transport);
  }

  /**
   * Sends a message and gives the reply: of JSON the value, of text a string, of bytes a `Uint8Array`, `null` for none.
   * @param {unknown} data anything that turns into JSON
   * @param {SendOptions} [options]
   * @returns {Promise<any>} rejects with a `RealtimeError`
   */
  send(data, options = {}) {
    return this.#uplink.send(data, options);
  }

  close() {
    this.#reader.close();
  }

  /**
   * Events and gaps, as they come from here on. Ends when the reader does. Who falls behind by `bufferMax` makes the reader
   * let go of its connection, and take it up at the same place once half of that is read: nothing is lost that the server keeps.
   * @returns {AsyncGenerator<RealtimeEvent | GapEvent, void>}
   */
  async *[Symbol.asyncIterator]() {
    const { signal } = this.#reader;
    const { bufferMax } = this.#settings;
    /** @type {Array<RealtimeEvent | GapEvent>} */
    const events = [];
    /** @type {(value?: unknown) => void} */
    let wake = () => {};
    const buffer = {
      isFull: false,
      push: (/** @type {RealtimeEvent | GapEvent} */ event) => {
        if (events.push(event) >= bufferMax) buffer.isFull = true;
        wake();
      },
    };
    this.#buffers.add(buffer);
    signal.addEventListener('abort', () => wake());
    try {
      for (;;) {
        for (let event; (event = events.shift()); yield event) {
          if (buffer.isFull && events.length <= bufferMax / 2) this.#room(buffer);
        }
        if (signal.reason instanceof RealtimeError) throw signal.reason;
        if (signal.aborted) return;
        await new Promise((done) => (wake = done));
      }
    } finally {
      this.#buffers.delete(buffer);
      this.#room(buffer);
    }
  }

  /** @param {Buffer} buffer */
  #room(buffer) {
    buffer.isFull = false;
    this.#reader.wake();
  }

  /** @param {any} event those of the source are MessageEvents, whatever they are called */
  #emit = (event) => {
    this.dispatchEvent(event);
    if (event instanceof MessageEvent || event.type === 'gap') for (const buffer of this.#buffers) buffer.push(event);
    else if (event.state === 'open') this.#uplink.pump();
    else if (event.state === 'closed') this.#uplink.close();
  };
}
