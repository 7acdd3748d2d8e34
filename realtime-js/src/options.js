// What may be set, what it is by default, and what it must look like.

import { base } from './request.js';

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

/** @param {unknown} value */
const isFunction = (value) => typeof value === 'function';
/** @param {unknown} value */
const isPositive = (value) => typeof value === 'number' && value > 0 && value < 2 ** 31;
const positive = { is: isPositive, what: 'a positive number' };

/** @type {Record<keyof Options, { is: (value: any) => boolean, what: string }>} */
const checks = {
  transports: {
    is: (list) => Array.isArray(list) && list.length > 0 && list.every((name) => TRANSPORTS.includes(name)),
    what: `a list of ${TRANSPORTS}`,
  },
  start: {
    is: (start) => /^(?!last-)[\w.~-]{1,96}$/.test(start) || /^last-([1-9]\d{0,3}|10000)$/.test(start),
    what: '-1, now, last-1 to last-10000, or a cursor',
  },
  headers: { is: (headers) => isFunction(headers) || Boolean(new Headers(headers)), what: 'headers, or a function' },
  protocols: { is: (list) => isFunction(list) || Array.isArray(list), what: 'a list, or a function' },
  credentials: { is: (word) => ['omit', 'same-origin', 'include'].includes(word), what: 'omit, same-origin or include' },
  signal: { is: (signal) => isFunction(signal?.addEventListener), what: 'an AbortSignal' },
  fetch: { is: isFunction, what: 'a function' },
  WebSocket: { is: isFunction, what: 'a class' },
  backoffMs: positive,
  backoffMsMax: positive,
  connectMs: positive,
  pollMs: positive,
  waitSeconds: positive,
  bufferMax: positive,
  sendsMax: positive,
  sendMs: positive,
};

/**
 * @param {Where} url @param {Options} options @returns {Settings}
 * @throws {TypeError} naming what is wrong
 */
export function settings(url, options) {
  for (const [name, value] of Object.entries(options)) {
    const check = checks[/** @type {keyof Options} */ (name)];
    if (!check) throw new TypeError(`there is no option ${name}`);
    if (value !== undefined && !holds(() => check.is(value))) throw new TypeError(`${name} is to be ${check.what}`);
  }
  if (!isFunction(url) && !holds(() => /^http/.test(new URL(url, base()).protocol))) {
    throw new TypeError('url is to be an http or https URL, or a function that gives one');
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const all = {
    transports: TRANSPORTS,
    start: '',
    headers: {},
    protocols: [],
    credentials: 'same-origin',
    fetch: globalThis.fetch,
    WebSocket: globalThis.WebSocket,
    backoffMs: 5_000,
    backoffMsMax: 60_000,
    connectMs: 10_000,
    pollMs: 2_000,
    waitSeconds: 20,
    bufferMax: 1_000,
    sendsMax: 64,
    sendMs: 60_000,
    ...given,
    url,
  };
  // Node 20 has no WebSocket of its own.
  const transports = all.transports.filter((name) => name !== 'websocket' || all.WebSocket);
  if (!transports.length) throw new TypeError('transports names websocket alone, and there is none: give WebSocket');
  return /** @type {Settings} */ ({ ...all, transports });
}

/** @param {() => boolean} check */
function holds(check) {
  try {
    return check();
  } catch {
    return false;
  }
}
