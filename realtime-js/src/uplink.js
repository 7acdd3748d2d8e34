// Messages to the server: over the WebSocket where there is one, else by POST; one after the other, in order.
//
// A POST has a key, so that it is safe to send it again: the server answers it once. A frame has none: when its socket
// is gone before the reply, nobody knows whether it was handled, and the promise says so.

import { backoff, sleep } from './backoff.js';
import { RealtimeError } from './errors.js';
import { refusal, request } from './request.js';

/** @import { Settings } from './options.js' */
/** @import { Reader } from './reader.js' */

/**
 * @typedef {object} SendOptions
 * @property {string} [event] the name of the message; `message` by default
 * @property {AbortSignal} [signal] gives up waiting; what was sent stays sent
 */

/**
 * @typedef {object} Sending
 * @property {string} key
 * @property {string} event
 * @property {string} body
 * @property {AbortController} cut
 * @property {(reply: any) => void} resolve
 * @property {(error: unknown) => void} reject
 */

export class Uplink {
  /** @type {Sending[]} */
  #queue = [];
  /** Without an answer. @type {Set<Sending>} */
  #open = new Set();
  #isPumping = false;
  #refs = 0;

  /** @param {Settings} settings @param {Reader} reader */
  constructor(settings, reader) {
    this.settings = settings;
    this.reader = reader;
  }

  /**
   * @param {unknown} data @param {SendOptions} [options] @returns {Promise<any>}
   */
  async send(data, { event = 'message', signal } = {}) {
    const body = ArrayBuffer.isView(data) || data instanceof ArrayBuffer ? undefined : JSON.stringify(data);
    if (body === undefined) throw new TypeError('data is to be something that turns into JSON');
    if (typeof event !== 'string' || !/^[^$\p{C}][^\p{C}]*$/u.test(event)) {
      throw new TypeError('event is to be a printable name that does not start with $');
    }
    signal?.throwIfAborted();
    if (this.reader.state === 'closed') throw new RealtimeError('closed', 'the reader is closed');
    const { sendsMax } = this.settings;
    if (this.#open.size >= sendsMax) throw new RealtimeError('full', `${sendsMax} messages are without an answer`);

    const cut = new AbortController();
    /** @type {Sending | undefined} */
    let sending;
    const stop = () => sending?.reject(signal?.reason);
    try {
      return await new Promise((resolve, reject) => {
        sending = { key: uuid(), event, body, cut, resolve, reject };
        this.#open.add(sending);
        this.#queue.push(sending);
        signal?.addEventListener('abort', stop);
        this.pump();
      });
    } finally {
      signal?.removeEventListener('abort', stop);
      if (sending) this.#open.delete(sending);
      this.#queue = this.#queue.filter((other) => other !== sending);
      cut.abort();
    }
  }

  /** Sends what waits, as long as the reader is connected. */
  async pump() {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#queue.length && this.reader.state === 'open') {
      const sending = /** @type {Sending} */ (this.#queue.shift());
      const { link } = this.reader;
      const timer = setTimeout(() => sending.reject(unanswered()), this.settings.sendMs);
      sending.cut.signal.addEventListener('abort', () => clearTimeout(timer));
      if (link?.send) this.#frame(sending, link);
      else await this.#post(sending);
    }
    this.#isPumping = false;
  }

  /** The reader is closed: nothing will be sent or answered any more. */
  close() {
    for (const sending of this.#open) {
      sending.reject(this.#queue.includes(sending) ? new RealtimeError('closed', 'the reader is closed') : unanswered());
    }
  }

  /** @param {Sending} sending @param {import('./link.js').Link} link */
  #frame({ event, body, cut, resolve, reject }, link) {
    const ref = String(++this.#refs);
    const forget = () => link.replies.delete(ref);
    link.replies.set(ref, (reply) => {
      forget();
      if (reply instanceof RealtimeError) reject(unanswered());
      else if (reply.error) reject(new RealtimeError('refused', reply.error.title, { status: reply.error.status }));
      else resolve(reply.encoding === 'base64' ? Uint8Array.from(atob(reply.data), (char) => char.charCodeAt(0)) : reply.data);
    });
    cut.signal.addEventListener('abort', forget);
    link.send?.(`{"ref":"${ref}","event":${JSON.stringify(event)},"data":${body}}`);
  }

  /** @param {Sending} sending */
  async #post({ key, event, body, cut: { signal }, resolve, reject }) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
    const { backoffMs, backoffMsMax } = this.settings;
    let unauthorized = false;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const init = { method: 'POST', headers, body, signal };
        const response = await request(this.settings, { transport: 'post', unauthorized }, { event: event === 'message' ? '' : event }, init);
        if (response.ok) return resolve(await reply(response));
        throw await refused(response);
      } catch (caught) {
        const error = /** @type {RealtimeError} */ (caught);
        const { kind, retryMs } = error;
        if (kind === 'unauthorized' && !unauthorized) {
          unauthorized = true;
          continue;
        }
        if (kind !== 'network' && kind !== 'away') return reject(error);
        await sleep(retryMs ?? backoff(tries, backoffMs, backoffMsMax), signal);
      }
    }
  }
}

const unanswered = () => new RealtimeError('unanswered', 'no answer: it is not known whether the message was handled');

/** @param {Response} response */
async function reply(response) {
  const type = response.headers.get('Content-Type') ?? '';
  if (response.status === 204) return null;
  if (/json/.test(type)) return response.json();
  if (/^text\//.test(type)) return response.text();
  return new Uint8Array(await response.arrayBuffer());
}

/** With the server's own words, where it has some. @param {Response} response */
async function refused(response) {
  const problem = await response.clone().json().catch(() => ({}));
  const error = refusal(response);
  if (error.kind === 'refused') error.message = problem.title ?? error.message;
  return error;
}

/** 128 random bits as a UUID; `randomUUID` is for secure contexts alone. */
function uuid() {
  const bits = crypto.getRandomValues(new Uint8Array(16));
  bits[6] = (bits[6] & 0x0f) | 0x40;
  bits[8] = (bits[8] & 0x3f) | 0x80;
  const hex = Array.from(bits, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
