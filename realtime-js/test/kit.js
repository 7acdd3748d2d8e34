// What the tests have in common: the wire in few words, a socket and a fetch that do as they are told.

import { setMaxListeners } from 'node:events';
import { vi } from 'vitest';
import { Realtime } from '../src/realtime.js';

export const URL_ = 'http://events.test/events';

export const id = (n, epoch = 'feed') => `${epoch.padStart(16, '0')}.${n.toString(16).padStart(16, '0')}`;
export const open = (n, outcome = 'fresh', heartbeatMs = 15_000) => ({
  ...(outcome === 'gap' ? {} : { id: id(n) }),
  event: '$open',
  data: { cursor: id(n), outcome, heartbeatMs },
});
export const event = (n, data = { n }) => ({ id: id(n), event: 'tick', data });
export const gap = (from, to) => ({ id: id(to), event: '$gap', data: { reason: 'trimmed', from: id(from), to: id(to) } });
export const live = (n) => ({ id: id(n), event: '$live', data: { cursor: id(n) } });
export const end = (n, reason, retry) => ({ id: id(n), event: '$end', data: { reason, retry } });
export const page = (events, next, more = {}) => ({ events, next: id(next), upToDate: true, closed: false, ...more });

/** Every socket that was made, the newest last. */
export const sockets = [];

export class Socket {
  sent = [];
  isClosed = false;
  protocol = '';

  constructor(url, protocols) {
    Object.assign(this, { url: new URL(url), protocols });
    sockets.push(this);
  }
  open(protocol = 'realtime.v1') {
    this.protocol = protocol;
    this.onopen?.();
  }
  say(...messages) {
    for (const message of messages) this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  shut(code, reason = '') {
    this.onclose?.({ code, reason });
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.isClosed = true;
  }
}

/** A stream of Server-Sent Events that is written by hand. */
export function stream(init = { headers: { 'Content-Type': 'text/event-stream' } }) {
  let to;
  const body = new ReadableStream({ start: (controller) => void (to = controller) });
  const encoder = new TextEncoder();
  const response = new Response(body, init);
  // As a body does whose request is aborted.
  response.cut = (reason) => to.error(reason);
  return {
    response,
    write: (text) => to.enqueue(encoder.encode(text)),
    /** As a mount that was asked for envelopes. */
    say(...messages) {
      for (const { id, event, ...rest } of messages) {
        const data = JSON.stringify({ id, event, ...rest });
        this.write(`${id ? `id: ${id}\n` : ''}${event ? `event: ${event}\n` : ''}data: ${data}\n\n`);
      }
    },
    end: () => to.close(),
    fail: () => to.error(new TypeError('broke off')),
  };
}

/** Every request that was made, and a fetch that answers as `answer` says: a Response, a promise of one, or an error. */
export function net(answer) {
  const requests = [];
  const fetch = vi.fn(async (url, init) => {
    const request = { url: new URL(url), at: Date.now(), ...init };
    requests.push(request);
    const { signal } = init;
    setMaxListeners(0, signal); // a poll asks many times under one
    const dropped = new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    const response = await Promise.race([answer(request, requests.length), dropped]);
    if (response instanceof Error) throw response;
    signal.addEventListener('abort', () => response.cut?.(signal.reason));
    return response;
  });
  return { fetch, requests };
}

export const json = (value, init) => Response.json(value, init);
export const status = (code, headers) => new Response(null, { status: code, headers });
export const unreachable = () => new TypeError('fetch failed');
export const never = () => new Promise(() => {});

const made = [];

/** A reader, and all that it says: one word each. */
export function reader(options, url = URL_) {
  const rt = new Realtime(url, { WebSocket: Socket, fetch: () => Promise.reject(unreachable()), ...options });
  const said = [];
  const events = [];
  rt.onstate = ({ state, transport }) => said.push(`${state} ${transport}`);
  rt.onopen = ({ outcome }) => said.push(`open: ${outcome}`);
  rt.ongap = ({ reason }) => said.push(`gap: ${reason}`);
  rt.onerror = ({ error }) => said.push(`error: ${error.kind}`);
  rt.onlive = () => said.push('live');
  rt.onend = () => said.push('end');
  rt.addEventListener('tick', (event) => (events.push(event), said.push(event.data?.n ?? event.data)));
  made.push(rt);
  return { rt, said, events, numbers: () => said.filter((word) => typeof word === 'number') };
}

/** Lets everything happen that needs no time. */
export const settle = () => vi.advanceTimersByTimeAsync(0);
export const pass = (ms) => vi.advanceTimersByTimeAsync(ms);

/** Closes what a test has left. */
export function clear() {
  for (const rt of made.splice(0)) rt.close();
  sockets.length = 0;
}
