// Reading: which transport is next, when to come back, and what is new.
//
//   connecting ──$open──► open ──broke off, $end with a retry──► waiting ──time, online, visible──► connecting
//        │                  │
//        └──────────────────┴──$end without a retry, 204, 1000, a second 401, a 400, close()──► closed

import { WAIT_MS_MAX, asked, backoff, sleep } from './backoff.js';
import { recall, remember } from './choice.js';
import { RealtimeError, foreign } from './errors.js';
import { connect, payload } from './link.js';
import { poll } from './poll.js';
import { sse } from './sse.js';
import { websocket } from './websocket.js';

/** @import { Ending, Link, Message } from './link.js' */
/** @import { Settings, Transport } from './options.js' */

/** @typedef {'connecting' | 'open' | 'waiting' | 'closed'} State */

/** A stream that lives for less was cut off by something between. */
const QUICK_MS = 5_000;

/** After so many in a row the next transport is tried. */
const QUICK_MAX = 3;

/** @type {Record<Transport, (link: Link, retry: (ms: number) => void) => Promise<Ending | RealtimeError>>} */
const transports = { websocket, sse, 'long-poll': poll, poll };

/** @typedef {ReturnType<typeof reader>} Reader */

/**
 * @param {Settings} settings
 * @param {(event: Event) => void} emit
 * @param {() => boolean} isFull whether somebody is too far behind to be given more
 */
export function reader(settings, emit, isFull) {
  const order = settings.transports;
  /** Where each round begins: the transport that worked last, or is preferred. */
  const last = recall(settings);
  let best = last ?? order[0];
  const worked = new Set([last]);
  /** Streams that were cut off, in a row. @type {Partial<Record<Transport, number>>} */
  const quick = {};
  /** Attempts since one lasted. */
  let tries = 0;
  /** Transports given up since the last wait. */
  let moves = 0;
  /** Refused, and since then nothing that lasted: once more is the end. */
  let isDenied = false;
  /** The last attempt was refused: others are to be asked for. */
  let isRefused = false;
  /** What `retry:` said. @type {number | undefined} */
  let retryMs;
  /** The last event since the last gap: whatever is not above it was seen. */
  let seen = '';
  /** The last link that had all that was retained. @type {Link | undefined} */
  let live;
  /** Ends the wait of this round, now or before it begins. */
  let nap = new AbortController();
  /** The server has named a time: who looks does not end the wait. */
  let isPatient = false;

  const over = new AbortController();
  const self = {
    /** Aborts when it is closed. */
    signal: over.signal,
    state: /** @type {State} */ ('connecting'),
    transport: best,
    /** The cursor; empty before the first is known. */
    place: '',
    link: /** @type {Link | undefined} */ (undefined),

    async run() {
      while (self.state !== 'closed') {
        nap = new AbortController();
        isPatient = false;
        if (isFull()) await wait(WAIT_MS_MAX);
        else await attempt();
      }
    },

    /** What is done at once when the network is back or somebody looks; not before a time that the server has named. */
    wake() {
      self.link?.look();
      if (isPatient || isFull()) return;
      tries = 0;
      nap.abort();
    },

    /** Goes on over another transport, from the same place. @param {Transport} transport */
    switch(transport) {
      if (transport === self.transport && self.state === 'open') return;
      best = self.transport = transport;
      remember(settings, transport);
      tries = moves = 0;
      self.link?.drop();
      nap.abort();
    },

    /** @param {RealtimeError} [error] why, unless it has ended */
    close(error) {
      if (self.state === 'closed') return;
      self.state = 'closed';
      over.abort(error);
      // Nobody waits for a reply any more.
      self.link?.replies.clear();
      self.link?.drop();
      nap.abort();
      if (error) tell('error', { error });
      say('closed');
    },
  };

  async function attempt() {
    const { transport } = self;
    const about = { transport, unauthorized: isRefused };
    const link = (self.link = connect(settings, about, self.place || settings.start, hear));
    say('connecting');
    /** @type {Ending | RealtimeError} */
    let ending = {};
    try {
      if (!link.signal.aborted) ending = await transports[transport](link, (ms) => (retryMs = asked(ms)));
    } catch (caught) {
      ending = caught instanceof RealtimeError ? caught : new RealtimeError('network', String(caught));
    }
    const { reason } = link.signal;
    if (reason) {
      if (self.state === 'closed' || !(reason instanceof RealtimeError)) return;
      ending = reason;
    }
    const error = ending instanceof RealtimeError ? ending : undefined;
    link.drop(error);

    const isLasting = link.openedAt && Date.now() - link.openedAt >= QUICK_MS;
    if (isLasting) {
      tries = moves = quick[transport] = 0;
      isDenied = false;
    }
    if (error) {
      if (error.kind === 'unauthorized') {
        if (isDenied) return self.close(error);
        isDenied = isRefused = true;
        return;
      }
      // What is wrong with the cursor, or the URL, is as wrong the next time.
      if (error.status === 400) return self.close(error);
      tell('error', { error });
      if (self.transport !== transport || /** @type {State} */ (self.state) === 'closed') return;
      if (!isLasting && isGivenUp(link, error) && ++moves < order.length) {
        self.transport = order[(order.indexOf(transport) + 1) % order.length];
        return;
      }
    } else if (/** @type {Ending} */ (ending).closed) {
      self.close();
      return tell('end');
    }
    self.transport = best;
    moves = 0;
    const said = ending.retryMs;
    const ms = said ?? (tries ? undefined : retryMs) ?? backoff(tries, settings);
    tries++;
    isPatient = said !== undefined;
    // What roused it before that does not count; nor once it was open, lest all come back at one moment.
    if (isPatient || link.openedAt) nap = new AbortController();
    await wait(ms);
  }

  /**
   * Whether the transport is at fault and not the server or the network: then the next may do.
   * @param {Link} link @param {RealtimeError} error
   */
  function isGivenUp({ about: { transport }, isAnswered, openedAt }, { kind, status }) {
    if (/foreign|refused|closed/.test(kind)) return true;
    if (kind === 'away' || status === 1009 || /poll/.test(transport)) return false;
    const isSse = transport === 'sse';
    // Answered, and then silence: something holds the stream back. No answer at all is the network's fault.
    if (isSse && !openedAt && kind === 'silent') return true;
    if (isSse && !isAnswered) return false;
    const times = (quick[transport] = (quick[transport] ?? 0) + 1);
    return times >= (isSse || worked.has(transport) ? QUICK_MAX : 1);
  }

  /** @param {number} ms */
  function wait(ms) {
    say('waiting', ms);
    return sleep(ms, nap.signal);
  }

  /** @param {Link} link @param {Message} message */
  function hear(link, message) {
    const { id, event = 'message' } = message;
    const isControl = event[0] === '$';
    // A control may have none.
    if (id ? typeof id !== 'string' : !isControl) throw foreign('an id', id);
    if (isControl) control(link, event, message);
    else news(link, event, message);
    // Somebody is behind: what follows is read again, from here.
    if (isFull()) link.drop();
  }

  /** It repeats a place and mints none. @param {Link} link @param {string} event @param {Message} message */
  function control(link, event, { id, data }) {
    if (id) self.place = link.offset = id;
    if (event === '$open') {
      const { transport } = link.about;
      link.openedAt = Date.now();
      // What was asked for is good: the next poll, and the next connection, are to be given the same.
      link.about.unauthorized = isRefused = false;
      best = transport;
      worked.add(transport);
      remember(settings, transport);
      say('open');
      tell('open', { outcome: data.outcome, transport });
    } else if (event === '$gap') {
      seen = '';
      tell('gap', data);
    } else if (event === '$live' && live !== link) {
      live = link;
      tell('live');
    } else if (event === '$end') {
      const { reason, retry } = data;
      const ending = retry === false ? { closed: true } : { retryMs: asked(Number(retry) || 0) };
      link.end = reason === 'expired' ? new RealtimeError('unauthorized', reason) : ending;
    }
  }

  /** @param {Link} link @param {string} event @param {Message} message */
  function news(link, event, message) {
    if (!link.openedAt) throw foreign('$open', event);
    const { id, topic, key } = /** @type {Message & { id: string }} */ (message);
    // Behind a `-` is the mount's tag: another key, another tag, the same event.
    const [place] = id.split('-');
    if (place <= seen) return tell('duplicate', { lastEventId: id });
    const told = new MessageEvent(event, { data: payload(message), lastEventId: id });
    seen = place;
    self.place = link.offset = id;
    link.told++;
    emit(Object.assign(told, { topic, key }));
  }

  /** @param {string} type @param {object} [detail] */
  function tell(type, detail) {
    emit(Object.assign(new Event(type), detail));
  }

  /** @param {State} state @param {number} [retryMs] */
  function say(state, retryMs) {
    self.state = state;
    tell('state', { state, transport: self.transport, retryMs });
  }

  const { signal } = self;
  globalThis.addEventListener?.('online', self.wake, { signal });
  globalThis.document?.addEventListener('visibilitychange', () => document.hidden || self.wake(), { signal });
  return self;
}
