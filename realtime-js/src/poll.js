// Polling and long-polling: a page of events a request. Pages are told as the same controls that streams have.

import { retryAfter, sleep } from './backoff.js';
import { foreign } from './errors.js';
import { parse } from './link.js';
import { isReserved } from './options.js';
import { refusal, text } from './request.js';

/** @import { RealtimeError } from './errors.js' */
/** @import { Ending, Link } from './link.js' */

/** A long-poll that ends sooner, and with no event that is new, has not waited. */
const TOO_SOON_MS = 1_000;

/** @param {Link} link @returns {Promise<Ending | RealtimeError>} */
export async function poll(link) {
  const { settings, signal, about } = link;
  const isLong = about.transport === 'long-poll';
  let etag = /** @type {string | null | undefined} */ (undefined);
  while (!signal.aborted) {
    // The first one does not wait: the place is to be known before anything can be missed.
    const wait = isLong && link.openedAt ? settings.waitSeconds : 0;
    const { told } = link;
    const asked = Date.now();
    if (link.openedAt) link.alive(wait * 1000);
    /** @type {Record<string, string>} */
    const more = isLong ? { Prefer: `wait=${wait}` } : etag ? { 'If-None-Match': etag } : {};
    const response = await link.request({ Accept: 'application/json', ...more });
    const { status, headers } = response;
    link.alive();
    etag = headers.get('ETag');
    /** @type {any} */
    let page = { events: [], next: headers.get('Stream-Next-Offset'), upToDate: true, closed: headers.has('Stream-Closed') };
    if (status === 200) {
      page = parse(await text(response, link.alive));
      if (!Array.isArray(page.events) || !page.next) return foreign('a page', JSON.stringify(page));
    } else if (status !== 204 && status !== 304) return refusal(response);
    tell(link, page);
    // With a time to come back at: sent away in the middle of its wait, by a drain. The page is its own ending.
    page.retryMs = retryAfter(headers);
    if (page.closed || page.retryMs) return page;

    const isNews = link.told !== told;
    if (!isLong) {
      // Where a page was cut there is more, at once: its last event says so.
      const ms = page.upToDate || !isNews ? settings.pollMs * (0.9 + Math.random() / 5) : 0;
      link.alive(ms);
      await sleep(ms, signal);
    }
    // Sent away before its time: something that does not wait and moves the place alone.
    else if (!isNews && wait && Date.now() - asked < TOO_SOON_MS) break;
  }
  return {};
}

/** @param {Link} link @param {any} page */
function tell(link, { gap, events, next, upToDate }) {
  const outcome = gap ? 'gap' : isReserved(link.offset) ? 'fresh' : 'resumed';
  if (!link.openedAt) link.take({ event: '$open', data: { outcome } });
  if (gap) link.take({ id: gap.to, event: '$gap', data: gap });
  for (const event of events) link.take(event);
  link.take({ id: next, event: upToDate ? '$live' : '$ping' });
}
