// One request of any kind: where to, with which headers, and what a status means.

import { retryAfter } from './backoff.js';
import { RealtimeError } from './errors.js';

/** @import { About, Settings } from './options.js' */

/** What a relative URL is relative to. */
export const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/** @param {unknown} value */
export const isFunction = (value) => typeof value === 'function';

/**
 * What is set, or what the function says that is: it is asked on every attempt, so that a token is a fresh one.
 * @template T
 * @param {T | ((about: About) => T | Promise<T>)} it @param {About} about @returns {Promise<T>}
 */
export async function ask(it, about) {
  return isFunction(it) ? /** @type {Function} */ (it)(about) : it;
}

/**
 * @param {Settings} settings @param {About} about @param {Record<string, string>} query
 */
export async function address({ url }, about, query) {
  const at = new URL(await ask(url, about), base());
  at.hash = '';
  for (const name in query) if (query[name]) at.searchParams.set(name, query[name]);
  return at;
}

/**
 * @param {Settings} settings @param {About} about @param {Record<string, string>} query
 * @param {RequestInit & { headers: Record<string, string> }} init
 */
export async function request(settings, about, query, init) {
  const { fetch, credentials } = settings;
  try {
    const headers = new Headers(await ask(settings.headers, about));
    for (const name in init.headers) headers.set(name, init.headers[name]);
    return await fetch(await address(settings, about, query), { credentials, cache: 'no-store', ...init, headers });
  } catch (error) {
    throw new RealtimeError('network', `no answer: ${error}`);
  }
}

/**
 * What a status that is no answer means: come with other credentials, come again later, or another way.
 * @param {number} status @param {Headers} headers
 */
export function refusal(status, headers) {
  const kind =
    status === 401 ? 'unauthorized' : /^(408|425|429|5(?!01|05)..)$/.test(String(status)) ? 'away' : 'refused';
  return new RealtimeError(kind, `the server answered ${status}`, status, retryAfter(headers));
}
