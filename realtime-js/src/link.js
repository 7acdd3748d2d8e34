// One attempt to read over one transport: what a transport needs, and the watchdog that ends it.

import { sleep } from './backoff.js';
import { RealtimeError, foreign } from './errors.js';
import { isReserved } from './options.js';
import { address, request } from './request.js';

/** @import { About, Settings, Transport } from './options.js' */

/**
 * One event or one control: the envelope of the wire.
 * @typedef {object} Message
 * @property {string} [id]
 * @property {string} [event]
 * @property {string} [topic]
 * @property {string} [key]
 * @property {string} [encoding]
 * @property {any} data
 */

/**
 * How an attempt ends, where it does not fail: for good, or to come back.
 * @typedef {{ over: true } | { over?: false, retryMs?: number }} Ending
 */

/** Heartbeats without a byte after which a connection is dead. */
const BEATS_MISSED = 2.5;

export class Link {
  #cut = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;
  #heard = Date.now();
  #heartbeatMs = 15_000;

  #silenceMs = 0;

  signal = this.#cut.signal;
  /** When `$open` came; 0 before. */
  openedAt = 0;
  isLive = false;
  /** Whether the other side has said anything at all. */
  isAnswered = false;
  /** @type {Ending | RealtimeError | undefined} What `$end` said. */
  end;
  /** @type {RealtimeError | undefined} Why it was dropped; nothing where nobody is to blame. */
  failure;
  /** @type {((text: string) => void) | undefined} Sends to the server, where the transport goes both ways. */
  send;
  /** @type {Map<string, (reply: Message & { error?: { status: number, title: string } } | RealtimeError) => void>} */
  replies = new Map();

  /**
   * @param {Settings} settings
   * @param {About & { transport: Transport }} about
   * @param {string} offset the cursor, or where to begin
   * @param {(link: Link, message: Message) => void} hear
   */
  constructor(settings, about, offset, hear) {
    this.settings = settings;
    this.about = about;
    this.offset = offset;
    this.isFresh = isReserved(offset);
    this.hear = hear;
    this.#watchFor(settings.connectMs);
  }

  /** @param {Message} message */
  take(message) {
    if (this.signal.aborted) return;
    if (message.event === '$open') this.#heartbeatMs = message.data.heartbeatMs || this.#heartbeatMs;
    this.offset = message.id ?? this.offset;
    this.hear(this, message);
  }

  /** There was a byte: the next is due within so many heartbeats, and `more_ms`. */
  alive(more_ms = 0) {
    this.isAnswered = true;
    this.#watchFor(BEATS_MISSED * this.#heartbeatMs + more_ms);
  }

  /** @param {number} ms */
  #watchFor(ms) {
    clearTimeout(this.#watch);
    if (this.signal.aborted) return;
    this.#heard = Date.now();
    this.#silenceMs = ms;
    this.#watch = setTimeout(() => this.look(), ms);
  }

  /** Whether it is dead: timers sleep where a page does, so this is asked when it wakes, too. */
  look() {
    if (Date.now() - this.#heard < this.#silenceMs) return;
    this.drop(new RealtimeError('silent', `${this.about.transport}: not a byte in ${this.#silenceMs} ms`));
  }

  /** Lets go of it; what comes after is not heard. @param {RealtimeError} [failure] */
  drop(failure) {
    clearTimeout(this.#watch);
    this.failure ??= failure;
    this.#cut.abort();
  }

  /** @param {Record<string, string>} [query] */
  address(query) {
    return address(this.settings, this.about, { offset: this.offset, ...query });
  }

  /** @param {Record<string, string>} headers @param {Record<string, string>} [query] */
  request(headers, query) {
    return request(this.settings, this.about, { offset: this.offset, ...query }, { headers, signal: this.signal });
  }

  /** @param {number} ms */
  sleep(ms) {
    return sleep(ms, this.signal);
  }
}

/**
 * @param {string} text @param {string} expected @returns {Message}
 */
export function parse(text, expected) {
  try {
    const message = JSON.parse(text);
    if (message && typeof message === 'object') return message;
  } catch {}
  throw foreign(expected, text);
}
