// One request of any kind: where to, with which headers, and what a status means.

import { retryAfter } from './backoff.js';
import { RealtimeError } from './errors.js';

/** @import { About, Settings } from './options.js' */

/**
 * Where to ask. A function is asked on every attempt, so that a token in the query is a fresh one.
 * @param {Settings} settings @param {About} about @param {Record<string, string>} query
 */
export async function address({ url }, about, query) {
  const at = new URL(typeof url === 'function' ? await url(about) : url, base());
  at.hash = '';
  for (const [name, value] of Object.entries(query)) if (value) at.searchParams.set(name, value);
  return at;
}

/** What a relative URL is relative to. */
export const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/**
 * @param {Settings} settings @param {About} about @param {Record<string, string>} query
 * @param {RequestInit & { headers: Record<string, string> }} init
 */
export async function request(settings, about, query, init) {
  try {
    const { fetch, credentials, headers } = settings;
    const all = new Headers(typeof headers === 'function' ? await headers(about) : headers);
    for (const [name, value] of Object.entries(init.headers)) all.set(name, value);
    return await fetch(await address(settings, about, query), { credentials, cache: 'no-store', ...init, headers: all });
  } catch (cause) {
    throw new RealtimeError('network', `no answer: ${cause}`, { cause });
  }
}

/**
 * What a status that is no answer means: come with other credentials, come again later, or another way.
 * @param {Response} response
 */
export function refusal({ status, headers, body }) {
  body?.cancel().catch(() => {});
  const isAway = (status >= 500 && status !== 501 && status !== 505) || [408, 409, 425, 429].includes(status);
  const kind = status === 401 ? 'unauthorized' : isAway ? 'away' : 'refused';
  return new RealtimeError(kind, `the server answered ${status}`, { status, retryMs: retryAfter(headers) });
}
