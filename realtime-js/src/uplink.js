// Messages to the server: over the WebSocket where there is one, else by POST; one after the other, in order.
//
// A POST has a key, so that it is safe to send it again: the server answers it once. A frame has none: when its socket
// is gone before the reply, nobody knows whether it was handled, and the promise says so.

import { backoff, sleep } from './backoff.js';
import { RealtimeError } from './errors.js';
import { payload } from './link.js';
import { refusal, request } from './request.js';

/** @import { Link } from './link.js' */
/** @import { Settings } from './options.js' */

/**
 * @typedef {object} SendOptions
 * @property {string} [event] the name of the message; `message` by default
 * @property {AbortSignal} [signal] gives up waiting; what was sent stays sent
 */

/**
 * @typedef {object} Sending
 * @property {string} event
 * @property {string} body
 * @property {AbortSignal} signal aborts when it is
 * @property {(reply: any) => void} resolve
 * @property {(error: unknown) => void} reject
 */

/**
 * @param {Settings} settings
 * @param {{ state: string, link?: Link }} reader
 */
export function uplink(settings, reader) {
  /** Not sent yet. @type {Sending[]} */
  let queue = [];
  /** Not answered yet. @type {Set<Sending>} */
  const open = new Set();
  let isPumping = false;
  let refs = 0;

  /**
   * @param {unknown} data @param {SendOptions} options @returns {Promise<any>}
   */
  async function send(data, options) {
    const { event = 'message', signal, ...others } = options;
    const body = !ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer) && JSON.stringify(data);
    const isGood = typeof options === 'object' && !Object.keys(others)[0] && /^[^$\p{C}]\P{C}*$/u.test(event);
    if (!body || !isGood) throw new TypeError('send takes (JSON data, { event: printable, without $, signal })');
    signal?.throwIfAborted();
    if (reader.state === 'closed') throw closed();
    if (open.size >= settings.sendsMax) throw new RealtimeError('full', 'sendsMax wait');

    const end = new AbortController();
    const sending = /** @type {Sending} */ ({ event, body, signal: end.signal });
    try {
      return await new Promise((resolve, reject) => {
        queue.push(Object.assign(sending, { resolve, reject }));
        open.add(sending);
        signal?.addEventListener('abort', () => reject(signal.reason), { signal: end.signal });
        pump();
      });
    } finally {
      open.delete(sending);
      queue = queue.filter((other) => other !== sending);
      end.abort();
    }
  }

  /** Sends what waits, as long as the reader is connected. */
  async function pump() {
    if (isPumping) return;
    isPumping = true;
    for (let sending; reader.state === 'open' && (sending = queue.shift()); ) {
      const { reject, signal } = sending;
      sleep(settings.sendMs, signal).then(() => reject(unanswered()));
      const { link } = reader;
      if (link?.send) frame(sending, link);
      else await post(sending);
    }
    isPumping = false;
  }

  /** The reader is closed: nothing will be sent or answered any more. */
  function close() {
    for (const sending of open) sending.reject(queue.includes(sending) ? closed() : unanswered());
  }

  /** @param {Sending} sending @param {Link} link */
  function frame(sending, { replies, send }) {
    const { event, body, signal, resolve, reject } = sending;
    const ref = String(++refs);
    const forget = () => replies.delete(ref);
    signal.addEventListener('abort', forget);
    replies.set(ref, (reply) => {
      if (!reply) reject(unanswered());
      else if (reply.error) reject(new RealtimeError('refused', reply.error.title, reply.error.status));
      else resolve(payload(reply));
      forget();
    });
    send?.(`{"ref":"${ref}","event":${JSON.stringify(event)},"data":${body}}`);
  }

  /** @param {Sending} sending */
  async function post({ event, body, signal, resolve, reject }) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': uuid() };
    const init = { method: 'POST', headers, body, signal };
    let unauthorized = false;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const response = await request(settings, { transport: 'post', unauthorized }, { event }, init);
        if (!response.ok) throw await refusal(response, 'refused');
        return resolve(await reply(response));
      } catch (caught) {
        const { kind, status, retryMs } = /** @type {RealtimeError} */ (caught);
        if (kind === 'unauthorized' && !unauthorized) unauthorized = true;
        else if (status && !isRetried(status, retryMs)) return reject(caught);
        else await sleep(retryMs ?? backoff(tries, settings), signal);
      }
    }
  }

  return { send, pump, close };
}

const closed = () => new RealtimeError('closed', 'closed');
const unanswered = () => new RealtimeError('unanswered', 'perhaps handled');

/** @param {Response} response */
async function reply(response) {
  const type = /** @type {string} */ (response.headers.get('Content-Type'));
  if (response.status === 204) return null;
  if (/json/.test(type)) return response.json();
  return /^text/.test(type) ? response.text() : new Uint8Array(await response.arrayBuffer());
}

/**
 * Whether the handler may not have been asked yet, or is still at it (409, where a time is named). Any other status is its
 * answer, kept under the key: it would be the same again.
 * @param {number} status @param {number} [retryMs]
 */
const isRetried = (status, retryMs) => (status === 409 ? retryMs : /408|425|50[234]/.test(/** @type {any} */ (status)));

/** A random UUID; where the context is not secure there is none, and as many random bits in other letters do as well. */
const uuid = () => crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
