// Server-Sent Events by fetch: unlike EventSource it sees statuses, sets headers, and comes back from any of them.
//
// Asks for the whole envelope as data, so that payloads are the same as by every other transport.

import { RealtimeError, foreign } from './errors.js';
import { parse } from './link.js';
import { parser } from './parser.js';
import { pieces, refusal } from './request.js';

/** @import { Ending, Link } from './link.js' */

const TYPE = 'text/event-stream';

/**
 * @param {Link} link @param {(ms: number) => void} retry
 * @returns {Promise<Ending | RealtimeError>}
 */
export async function sse(link, retry) {
  const response = await link.request({ Accept: `${TYPE};data=envelope` });
  const { status, headers, body } = response;
  if (status === 204) return { closed: true };
  if (status !== 200) return refusal(response);
  const type = headers.get('Content-Type');
  if (!type?.startsWith(TYPE) || !body) return foreign(TYPE, type);

  link.isAnswered = true;
  const push = parser(({ id, data }) => link.take(data === undefined ? { id, event: '$ping' } : parse(data)), retry);
  for await (const piece of pieces(body)) {
    link.alive();
    push(piece);
    if (link.end) return link.end;
  }
  return new RealtimeError('network', 'broke off');
}
