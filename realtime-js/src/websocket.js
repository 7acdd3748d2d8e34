// WebSocket, subprotocol realtime.v1: every frame is one envelope, and messages go up the same way.

import { RealtimeError, foreign } from './errors.js';
import { parse } from './link.js';
import { address, ask } from './request.js';

/** @import { Kind } from './errors.js' */
/** @import { Ending, Link } from './link.js' */

const PROTOCOL = 'realtime.v1';

/** How long a socket that is let go of waits for replies that are due. */
const LINGER_MS = 5_000;

/**
 * What a close code means (docs/wire.md); 1000 is the end.
 * @param {number} code @returns {Kind}
 */
function kind(code) {
  if (code === 4401) return 'unauthorized';
  if (/100[2378]/.test(/** @type {any} */ (code))) return 'closed';
  return /1001|1011|1013|4000/.test(/** @type {any} */ (code)) ? 'away' : 'network';
}

/** @param {Link} link @returns {Promise<Ending | RealtimeError>} */
export async function websocket(link) {
  const { settings, about, signal, replies } = link;
  const more = await ask(settings.protocols, about);
  const url = await address(settings, about, { offset: link.offset });
  if (signal.aborted) return {};
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new settings.WebSocket(url.href, [PROTOCOL, ...more]);

  return new Promise((end) => {
    const close = () => socket.close();
    const lose = () => replies.forEach((reply) => reply());
    signal.addEventListener('abort', () => {
      end({});
      if (signal.reason instanceof RealtimeError) lose();
      // Whoever waits for a reply over it is not to lose it by a change of transports.
      if (replies.size) setTimeout(close, LINGER_MS);
      else close();
    });
    socket.onopen = () => {
      if (socket.protocol !== PROTOCOL) end(foreign(PROTOCOL, socket.protocol));
      link.send = (text) => socket.send(text);
    };
    socket.onmessage = (/** @type {{ data: string }} */ { data }) => {
      link.alive();
      try {
        link.take(parse(data));
        if (signal.aborted && !replies.size) close();
        if (link.end) end(link.end);
      } catch (error) {
        end(/** @type {RealtimeError} */ (error));
      }
    };
    socket.onclose = (/** @type {{ code: number }} */ { code }) => {
      lose();
      end(code === 1000 ? { closed: true } : new RealtimeError(kind(code), `closed with ${code}`, code));
    };
    // Behind an error there is always a close.
    socket.onerror = () => {};
  });
}
