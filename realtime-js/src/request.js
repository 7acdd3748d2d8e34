// One request of any kind: where to, with which headers, and what a status means.

import { retryAfter } from './backoff.js';
import { RealtimeError, foreign } from './errors.js';

/** @import { Kind } from './errors.js' */
/** @import { About, Settings } from './options.js' */

/** What a relative URL is relative to. */
export const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/**
 * Characters of one text that anybody is let send; more is nothing of ours (an event has a mebibyte, unless its log is
 * told otherwise), and memory is not endless.
 */
export const CHARS_MAX = 1 << 26;

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
    throw new RealtimeError('network', String(error));
  }
}

/** A body as text, as it comes; whoever has enough of it aborts the request. @param {any} body */
export async function* pieces(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (let read; !(read = await reader.read()).done; ) yield decoder.decode(read.value, { stream: true });
}

/** All of it, up to a bound. @param {Response} response @param {() => void} [heard] called for each piece */
export async function text({ body }, heard) {
  let all = '';
  for await (const piece of pieces(body)) {
    heard?.();
    all += piece;
    if (all.length > CHARS_MAX) throw foreign('a page', 'an endless one');
  }
  return all;
}

/**
 * What a status that is no answer means: come with other credentials, come again later, or another way. In the words of the
 * server, where it has some: a problem (RFC 9457) says in its detail what to do.
 * @param {Response} response @param {Kind} [away] what "again later" is called
 */
export async function refusal(response, away = 'away') {
  const { status, headers } = response;
  const kind =
    status === 401 ? 'unauthorized' : /408|425|429|5(?!01|05)../.test(/** @type {any} */ (status)) ? away : 'refused';
  const problem = await text(response).then(JSON.parse).catch(() => {});
  const message = problem?.detail ?? problem?.title ?? `answered ${status}`;
  return new RealtimeError(kind, message, status, retryAfter(headers));
}
