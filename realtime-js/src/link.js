// One attempt to read over one transport: what a transport needs, and the watchdog that ends it.

import { TIMER_MS_MAX } from './backoff.js';
import { RealtimeError, foreign } from './errors.js';
import { request } from './request.js';

/** @import { About, Settings, Transport } from './options.js' */

/**
 * One event or one control: the envelope of the wire.
 * @typedef {object} Message
 * @property {string} [id]
 * @property {string} [event]
 * @property {string} [topic]
 * @property {string} [key]
 * @property {string} [encoding]
 * @property {any} [data]
 * @property {any} [ref]
 * @property {{ status: number, title: string }} [error]
 */

/**
 * How an attempt ends, where it does not fail: for good, or to come back.
 * @typedef {{ closed?: boolean, retryMs?: number }} Ending
 */

/** Heartbeats without a byte after which a connection is dead. */
const BEATS_MISSED = 2.5;

/** @typedef {ReturnType<typeof connect>} Link */

/**
 * @param {Settings} settings
 * @param {About & { transport: Transport }} about
 * @param {string} offset the cursor, or where to begin
 * @param {(link: Link, message: Message) => void} hear
 */
export function connect(settings, about, offset, hear) {
  const cut = new AbortController();
  const { signal } = cut;
  let beat_ms = 15_000;
  let due = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let watch;

  const self = {
    settings,
    about,
    offset,
    /** Aborts when it is let go of; its reason is the failure, if that is why. */
    signal,
    /** When `$open` came; 0 before. */
    openedAt: 0,
    /** Events that came over it and were told. */
    told: 0,
    /** Whether the other side has said anything at all. */
    isAnswered: false,
    /** What `$end` said. */
    end: /** @type {Ending | RealtimeError | undefined} */ (undefined),
    /** Sends to the server, where the transport goes both ways. */
    send: /** @type {((text: string) => void) | undefined} */ (undefined),
    /** Who waits for a reply, by `ref`; called with nothing when it is lost. @type {Map<string, (reply?: Message) => void>} */
    replies: new Map(),
    /** A reply is for who asked, even when it is let go of. @param {Message} message */
    take(message) {
      try {
        const { event, ref, data } = message;
        if (event === '$reply') return self.replies.get(ref)?.(message);
        if (signal.aborted) return;
        if (event === '$open') {
          if (data.heartbeatMs > 0) beat_ms = data.heartbeatMs;
          self.alive();
        }
        hear(self, message);
      } catch (caught) {
        throw caught instanceof RealtimeError ? caught : foreign('an envelope', JSON.stringify(message));
      }
    },

    /** There was a byte: the next is due within so many heartbeats, and `more_ms`. */
    alive(more_ms = 0) {
      self.isAnswered = true;
      expect(BEATS_MISSED * beat_ms + more_ms);
    },

    /** Whether it has died while the page, and its timers, slept. */
    look: () => expect(due - Date.now()),

    /** Lets go of it; what comes after is not heard. @param {RealtimeError} [failure] none where nobody is to blame */
    drop(failure) {
      clearTimeout(watch);
      cut.abort(failure);
    },

    /** @param {Record<string, string>} headers */
    request: (headers) => request(settings, about, { offset: self.offset, live: about.transport }, { headers, signal }),
  };

  /** @param {number} ms */
  function expect(ms) {
    clearTimeout(watch);
    if (signal.aborted) return;
    ms = Math.min(ms, TIMER_MS_MAX);
    due = Date.now() + ms;
    watch = setTimeout(() => self.drop(new RealtimeError('silent', 'no sign of life')), ms);
  }

  expect(settings.connectMs);
  return self;
}

/** @param {unknown} text @returns {any} */
export function parse(text) {
  try {
    return Object(JSON.parse(/** @type {string} */ (text)));
  } catch {
    throw foreign('JSON', text);
  }
}

/** What a message carries. @param {Message} message */
export function payload({ encoding, data }) {
  return encoding === 'base64' ? Uint8Array.from(atob(data), (char) => char.charCodeAt(0)) : data;
}
