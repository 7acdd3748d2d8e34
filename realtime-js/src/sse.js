// Server-Sent Events by fetch: unlike EventSource it sees statuses, sets headers, and comes back from any of them.
//
// Asks for the whole envelope as data, so that payloads are the same as by every other transport. A mount that knows
// only bare payloads is understood, too: there what is JSON is taken for JSON, and the rest is text.

import { RealtimeError, foreign } from './errors.js';
import { parse } from './link.js';
import { Parser } from './parser.js';
import { refusal } from './request.js';

/** @import { Ending, Link } from './link.js' */

/**
 * @param {Link} link @param {(ms: number) => void} retry
 * @returns {Promise<Ending>}
 */
export async function sse(link, retry) {
  const response = await link.request({ Accept: 'text/event-stream;data=envelope' });
  if (response.status === 204) return { over: true };
  if (response.status !== 200) throw refusal(response);
  const type = response.headers.get('Content-Type') ?? 'nothing';
  if (!type.startsWith('text/event-stream') || !response.body) throw foreign('text/event-stream', type);

  let isEnveloped = false;
  const parser = new Parser(({ id, event, data }) => {
    if (data === undefined) return link.take({ id, event: '$ping', data: null });
    if (event[0] === '$') {
      const message = parse(data, 'a control');
      isEnveloped = message.event === event;
      return link.take(isEnveloped ? message : { id, event, data: message });
    }
    link.take(isEnveloped ? parse(data, 'an envelope') : { id, event: event || 'message', data: bare(data) });
  }, retry);

  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new RealtimeError('network', 'the stream broke off');
    link.alive();
    parser.push(decoder.decode(value, { stream: true }));
    if (link.end instanceof RealtimeError) throw link.end;
    if (link.end) return link.end;
  }
}

/** @param {string} data */
function bare(data) {
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
