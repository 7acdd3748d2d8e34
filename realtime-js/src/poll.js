// Polling and long-polling: a page of events a request. Pages are told as the same controls that streams have.

import { foreign } from './errors.js';
import { parse } from './link.js';
import { refusal } from './request.js';

/** @import { Ending, Link } from './link.js' */

/** @param {Link} link */
export const poll = (link) => read(link, false);

/** @param {Link} link */
export const longPoll = (link) => read(link, true);

/**
 * @param {Link} link @param {boolean} waits
 * @returns {Promise<Ending>}
 */
async function read(link, waits) {
  let etag = '';
  for (;;) {
    // The first one does not wait: the place is to be known before anything can be missed.
    const wait = waits && link.openedAt ? link.settings.waitSeconds : 0;
    const headers = { Accept: 'application/json', ...(waits ? { Prefer: `wait=${wait}` } : etag && { 'If-None-Match': etag }) };
    const asked = Date.now();
    const before = link.offset;
    link.alive(wait * 1000);
    const response = await link.request(headers, { live: link.about.transport });
    const { status, headers: said } = response;
    link.alive();
    let page = { events: [], next: said.get('Stream-Next-Offset') ?? undefined, upToDate: true, closed: said.has('Stream-Closed') };
    if (status === 200) page = await body(response);
    else if (status !== 204 && status !== 304) throw refusal(response);
    etag = said.get('ETag') ?? '';
    tell(link, page);
    if (page.closed) return { over: true };
    if (link.signal.aborted) return {};

    const isMoved = link.offset !== before;
    if (!waits) await link.sleep(page.upToDate || !isMoved ? link.settings.pollMs * (0.9 + Math.random() / 5) : 0);
    // Sent away before its time, with nothing: a drain, or something between that does not wait.
    else if (!isMoved && Date.now() - asked < wait * 500) return {};
    if (link.signal.aborted) return {};
  }
}

/** @param {Link} link @param {any} page */
function tell(link, { gap, events, next, upToDate }) {
  if (!link.openedAt) {
    const outcome = gap ? 'gap' : link.isFresh ? 'fresh' : 'resumed';
    link.take({ event: '$open', data: { outcome } });
  }
  if (gap) link.take({ id: gap.to, event: '$gap', data: gap });
  for (const event of events) link.take(event);
  link.take({ id: next, event: upToDate && !link.isLive ? '$live' : '$ping', data: null });
}

/** @param {Response} response */
async function body(response) {
  const page = /** @type {any} */ (parse(await response.text(), 'a page'));
  if (!Array.isArray(page.events) || typeof page.next !== 'string') throw foreign('a page of events', JSON.stringify(page));
  return page;
}
