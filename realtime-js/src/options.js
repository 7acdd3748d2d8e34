// What may be set, what it is by default, and what it must look like.

import { TIMER_MS_MAX } from './backoff.js';
import { base, isFunction } from './request.js';

/** @typedef {'websocket' | 'sse' | 'long-poll' | 'poll'} Transport */

/**
 * What a function is told when it is asked for a URL, headers or protocols.
 * @typedef {object} About
 * @property {Transport | 'post'} transport what they are for
 * @property {boolean} unauthorized the last ones were refused: get others
 */

/** @typedef {string | URL | ((about: About) => string | URL | Promise<string | URL>)} Where */

/**
 * @typedef {object} Options
 * @property {Transport[]} [transports] in order of preference; all four by default
 * @property {string} [start] where to begin: `-1`, `now`, `last-N` or a cursor; the mount's default where absent
 * @property {HeadersInit | ((about: About) => HeadersInit | Promise<HeadersInit>)} [headers] asked for on every request
 * @property {string[] | ((about: About) => string[] | Promise<string[]>)} [protocols] offered beside `realtime.v1`: a
 *   WebSocket in a browser can set no header
 * @property {RequestCredentials} [credentials] of every request; `same-origin` by default
 * @property {AbortSignal} [signal] closes the reader
 * @property {typeof globalThis.fetch} [fetch]
 * @property {any} [WebSocket] its class, where there is none
 * @property {number} [backoffMs] the most of the first wait after a failure; 5,000 (RFC 6455, section 7.2.3)
 * @property {number} [backoffMsMax] what it is doubled up to; 60,000
 * @property {number} [connectMs] for a first sign of life; 10,000
 * @property {number} [pollMs] between two polls; 2,000
 * @property {number} [waitSeconds] that a long-poll waits; 20, below the 30 at which middleboxes begin to cut
 * @property {number} [bufferMax] events that `for await` may be behind before the connection is let go; 1,000
 * @property {number} [sendsMax] messages without an answer; 64
 * @property {number} [sendMs] from the first try to send a message to giving up; 60,000: less than a server keeps its key
 */

/**
 * @typedef {Required<Omit<Options, 'signal'>> & { url: Where, signal?: AbortSignal }} Settings
 */

/** @type {Transport[]} */
export const TRANSPORTS = ['websocket', 'sse', 'long-poll', 'poll'];

/** A place to begin that is no cursor. @param {string} start */
export const isReserved = (start) => /^(|-1|now|last-\d+)$/.test(start);

/** @typedef {[string, (value: any) => unknown]} Takes what an option takes, in words and as a check */

/** @type {Record<string, Takes>} */
const CHECKS = {
  transports: [
    `a list of ${TRANSPORTS}`,
    (list) => list[0] && list.every((/** @type {Transport} */ name) => TRANSPORTS.includes(name)),
  ],
  start: [
    "'-1', 'now', 'last-N' or a cursor",
    (start) => start.trim() && /^(?!last-)[\w.~-]{1,96}$|^last-([1-9]\d{0,3}|10000)$/.test(start),
  ],
  headers: ['headers or a function', (headers) => isFunction(headers) || new Headers(headers)],
  protocols: ['a list or a function', (list) => isFunction(list) || Array.isArray(list)],
  credentials: ['omit, same-origin or include', (word) => /^(omit|same-origin|include)$/.test(word)],
  signal: ['an AbortSignal', (signal) => signal.addEventListener],
  fetch: ['a function', isFunction],
  WebSocket: ['a class', isFunction],
  url: [
    'a whole http(s) URL or a function',
    (url) => isFunction(url) || /^http/.test(new URL(url, base()).protocol),
  ],
};

/** Every other option: what a timer can have. @type {Takes} */
const NUMBER = [
  'a number above 0, below 2^31',
  (value) => Number.isFinite(value) && value > 0 && value <= TIMER_MS_MAX,
];

/**
 * @param {Where} url @param {Options} [options] @returns {Settings}
 * @throws {TypeError} naming what is wrong, and what is right
 */
export function settings(url, options) {
  /** @type {Record<string, any>} */
  const all = {
    transports: TRANSPORTS,
    start: '',
    headers: {},
    protocols: [],
    credentials: 'same-origin',
    signal: undefined,
    fetch,
    WebSocket: globalThis.WebSocket,
    backoffMs: 5_000,
    backoffMsMax: 60_000,
    connectMs: 10_000,
    pollMs: 2_000,
    waitSeconds: 20,
    bufferMax: 1_000,
    sendsMax: 64,
    sendMs: 60_000,
    url,
  };
  for (const [name, value] of Object.entries({ ...options, url })) {
    if (!(name in all)) throw new TypeError(`no option ${name}`);
    if (value === undefined && name !== 'url') continue;
    const [takes, check] = CHECKS[name] ?? NUMBER;
    let isGood;
    try {
      isGood = check(value);
    } catch {}
    if (!isGood) throw new TypeError(`${name} takes ${takes}`);
    all[name] = value;
  }
  if (!isFunction(url)) all.url = new URL(all.url, base()).href;
  // Node 20 has no WebSocket of its own.
  all.transports = all.transports.filter((/** @type {Transport} */ name) => name !== 'websocket' || all.WebSocket);
  if (!all.transports.length) throw new TypeError('WebSocket takes a class');
  return /** @type {Settings} */ (all);
}
