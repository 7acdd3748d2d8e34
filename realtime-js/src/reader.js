// Reading: which transport is next, when to come back, and what is new.
//
//   connecting ──$open──► open ──broke off, $end with a retry──► waiting ──time, online, visible──► connecting
//        │                  │
//        └──────────────────┴──$end without a retry, 204, 1000, a second 401, close()──► closed

import { WAIT_MS_MAX, backoff } from './backoff.js';
import { RealtimeError, foreign } from './errors.js';
import { Link } from './link.js';
import { longPoll, poll } from './poll.js';
import { address } from './request.js';
import { sse } from './sse.js';
import { recall, remember } from './choice.js';
import { websocket } from './websocket.js';

/** @import { Ending, Message } from './link.js' */
/** @import { Settings, Transport } from './options.js' */

/** @typedef {'connecting' | 'open' | 'waiting' | 'closed'} State */

/** A stream that lives for less was cut off by something between. */
const QUICK_MS = 5_000;

/** After so many the next transport is tried. */
const QUICK_MAX = 3;

/** The least that a server is taken to mean by "again later". */
const WAIT_MS_MIN = 250;

/** @type {Record<Transport, (link: Link, retry: (ms: number) => void) => Promise<Ending>>} */
const transports = { websocket, sse, 'long-poll': longPoll, poll };

export class Reader {
  /** @type {State} */
  state = 'connecting';
  /** The cursor; empty before the first is known. */
  place = '';
  url = '';
  /** @type {Link | undefined} */
  link;
  /** @type {Transport} */
  transport;

  #over = new AbortController();
  /** The transport that worked last, or is preferred: where each round begins. @type {Transport} */
  #best;
  /** Attempts since one lasted. */
  #tries = 0;
  /** Transports given up since the last wait. */
  #moves = 0;
  /** Refused, and since then nothing that lasted: once more is the end. */
  #denied = false;
  /** The last attempt was refused: others are to be asked for. */
  #refused = false;
  /** @type {Set<Transport>} */
  #worked = new Set();
  /** Failures in a row. @type {Partial<Record<Transport, number>>} */
  #quick = {};
  /** What `retry:` said. @type {number | undefined} */
  #retryMs;
  /** The last event since the last gap: whatever is not above it was seen. */
  #seen = '';
  /** @type {((isForced: boolean) => void) | undefined} */
  #wake;

  /**
   * @param {Settings} settings
   * @param {(type: string, detail: Record<string, unknown>) => void} emit
   * @param {(message: Message) => void} deliver
   * @param {() => boolean} isFull whether somebody is too far behind to be given more
   */
  constructor(settings, emit, deliver, isFull) {
    this.settings = settings;
    this.emit = emit;
    this.deliver = deliver;
    this.isFull = isFull;
    this.#best = this.transport = settings.transports[0];
    const { signal } = this.#over;
    globalThis.addEventListener?.('online', () => this.wake(), { signal });
    globalThis.document?.addEventListener('visibilitychange', () => document.hidden || this.wake(), { signal });
  }

  async run() {
    await this.#recall();
    while (this.state !== 'closed') {
      if (this.isFull()) await this.#wait(WAIT_MS_MAX, () => !this.isFull());
      else await this.#attempt();
    }
  }

  /** What is done at once when the network is back or somebody looks; not before a time that the server has named. */
  wake() {
    this.link?.look();
    this.#wake?.(false);
  }

  /** Goes on over another transport, from the same place. @param {Transport} transport */
  switch(transport) {
    if (transport === this.transport && this.state === 'open') return;
    this.#best = this.transport = transport;
    remember(this.url, transport);
    this.#tries = this.#moves = 0;
    this.link?.drop();
    this.#wake?.(true);
  }

  /** Lets go of the connection until there is room again. */
  pause() {
    this.link?.drop();
  }

  /** @param {RealtimeError} [error] why, unless it has ended */
  close(error) {
    if (this.state === 'closed') return;
    this.#over.abort();
    this.link?.drop();
    this.#say('closed');
    this.#wake?.(true);
    if (error) this.emit('error', { error, message: error.message });
  }

  async #recall() {
    if (this.state === 'closed') return;
    try {
      this.url = (await address(this.settings, { transport: this.transport, unauthorized: false }, {})).href;
    } catch {
      return; // the attempt will say so
    }
    const last = recall(this.url);
    if (last && this.settings.transports.includes(last)) {
      this.#best = this.transport = last;
      this.#worked.add(last);
    }
  }

  async #attempt() {
    const { transport } = this;
    const about = { transport, unauthorized: this.#refused };
    const link = new Link(this.settings, about, this.place || this.settings.start, (...heard) => this.#hear(...heard));
    this.link = link;
    this.#say('connecting');
    /** @type {Ending} */
    let ending = {};
    /** @type {RealtimeError | undefined} */
    let error;
    try {
      if (!link.signal.aborted) ending = await transports[transport](link, (ms) => (this.#retryMs = ms));
    } catch (caught) {
      error = caught instanceof RealtimeError ? caught : new RealtimeError('network', String(caught), { cause: caught });
    }
    const isDropped = link.signal.aborted;
    if (isDropped) error = link.failure;
    else link.drop(error);
    if (this.state === 'closed' || (isDropped && !error)) return;

    const isLasting = link.openedAt > 0 && Date.now() - link.openedAt >= QUICK_MS;
    if (isLasting) {
      this.#tries = this.#moves = 0;
      this.#denied = false;
      this.#quick[transport] = 0;
    }
    if (ending.over) {
      this.close();
      return this.emit('end', {});
    }
    if (error?.kind === 'unauthorized') {
      if (this.#denied) return this.close(error);
      this.#denied = this.#refused = true;
      return;
    }
    if (error) {
      this.emit('error', { error, message: error.message });
      if (this.transport !== transport || /** @type {State} */ (this.state) === 'closed') return;
      if (this.#isGivenUp(link, error, isLasting) && ++this.#moves < this.settings.transports.length) {
        const { transports: order } = this.settings;
        this.transport = order[(order.indexOf(transport) + 1) % order.length];
        return;
      }
    }
    this.transport = this.#best;
    this.#moves = 0;
    await this.#pause(ending.retryMs ?? error?.retryMs);
  }

  /**
   * Whether the transport is at fault and not the server or the network: then the next may do.
   * @param {Link} link @param {RealtimeError} error @param {boolean} isLasting
   */
  #isGivenUp({ about: { transport }, isAnswered, openedAt }, { kind, status }, isLasting) {
    if (kind === 'foreign' || kind === 'refused' || kind === 'closed') return true;
    if (kind === 'away' || isLasting || status === 1009) return false;
    if (transport === 'sse') {
      // A 200 and then silence: something holds the stream back.
      if (!isAnswered && kind === 'network') return false;
      if (!openedAt && kind === 'silent') return true;
    } else if (transport !== 'websocket') return false;
    const quick = (this.#quick[transport] ?? 0) + 1;
    this.#quick[transport] = quick;
    return quick >= (transport === 'websocket' && !this.#worked.has(transport) ? 1 : QUICK_MAX);
  }

  /** @param {number} [said_ms] what the server has asked for */
  #pause(said_ms) {
    const { backoffMs, backoffMsMax } = this.settings;
    const own = Math.max(backoff(this.#tries, backoffMs, backoffMsMax));
    const ms = said_ms === undefined ? (this.#tries ? own : (this.#retryMs ?? own)) : Math.max(said_ms, WAIT_MS_MIN);
    this.#tries++;
    return this.#wait(Math.min(ms, WAIT_MS_MAX), () => said_ms === undefined);
  }

  /** @param {number} ms @param {() => boolean} mayWake @returns {Promise<void>} */
  #wait(ms, mayWake) {
    return new Promise((done) => {
      const timer = setTimeout(() => this.#wake?.(true), ms);
      this.#wake = (isForced) => {
        if (!isForced && !mayWake()) return;
        this.#wake = undefined;
        clearTimeout(timer);
        done();
      };
      this.#say('waiting', ms);
    });
  }

  /** @param {Link} link @param {Message} message */
  #hear(link, { id, event = 'message', topic, key, encoding, data }) {
    if (event[0] === '$') {
      // A control repeats a place and mints none.
      if (typeof id === 'string') this.place = id;
      if (event === '$open') this.#open(link, data);
      else if (event === '$gap') {
        this.#seen = '';
        this.emit('gap', { reason: data.reason, from: data.from, to: data.to });
      } else if (event === '$live' && !link.isLive) {
        link.isLive = true;
        this.emit('live', {});
      } else if (event === '$end') link.end = ending(data);
      return;
    }
    if (!link.openedAt) throw foreign('$open first', event);
    if (typeof id !== 'string' || !id) throw foreign('an event with an id', event);
    if (id <= this.#seen) return;
    this.#seen = this.place = id;
    this.deliver({ id, event, topic, key, data: encoding === 'base64' ? bytes(data) : data });
    if (this.isFull()) link.drop();
  }

  /** @param {Link} link @param {{ outcome: string }} data */
  #open(link, { outcome }) {
    const { transport } = link.about;
    link.openedAt = Date.now();
    // What was asked for is good: the next poll, and the next connection, are to be given the same.
    link.about.unauthorized = this.#refused = false;
    this.#best = transport;
    this.#worked.add(transport);
    remember(this.url, transport);
    this.#say('open');
    this.emit('open', { outcome, transport });
  }

  /** @param {State} state @param {number} [retryMs] */
  #say(state, retryMs) {
    if (state === this.state && state === 'closed') return;
    this.state = state;
    this.emit('state', { state, transport: this.transport, retryMs });
  }
}

/**
 * What `$end` means.
 * @param {{ reason: string, retry: number | false }} data @returns {Ending | RealtimeError}
 */
function ending({ reason, retry }) {
  if (reason === 'expired') return new RealtimeError('unauthorized', 'the permission has expired', { status: 401 });
  return retry === false ? { over: true } : { retryMs: Number(retry) || 0 };
}

/** @param {string} base64 */
function bytes(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}
