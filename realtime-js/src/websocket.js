// WebSocket, subprotocol realtime.v1: every frame is one envelope, and messages go up the same way.

import { RealtimeError, foreign } from './errors.js';
import { parse } from './link.js';

/** @import { Ending, Link } from './link.js' */

const PROTOCOL = 'realtime.v1';

/** How long a socket that is let go of waits for replies that are due. */
const LINGER_MS = 5_000;

/** @param {Link} link @returns {Promise<Ending>} */
export async function websocket(link) {
  const { WebSocket, protocols } = link.settings;
  const more = typeof protocols === 'function' ? await protocols(link.about) : protocols;
  const url = await link.address();
  if (link.signal.aborted) return {};
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url.href, [PROTOCOL, ...more]);

  return new Promise((resolve, reject) => {
    const lose = () => {
      for (const reply of [...link.replies.values()]) reply(new RealtimeError('unanswered', 'the connection is gone'));
    };
    link.signal.addEventListener('abort', () => {
      resolve({});
      // Whoever waits for a reply over it is not to lose it by a change of transports.
      if (link.failure || !link.replies.size) return socket.close();
      setTimeout(() => socket.close(), LINGER_MS);
    });
    socket.onopen = () => {
      if (socket.protocol !== PROTOCOL) return reject(foreign(`the subprotocol ${PROTOCOL}`, socket.protocol || 'none'));
      link.send = (text) => socket.send(text);
    };
    socket.onmessage = (/** @type {{ data: unknown }} */ { data }) => {
      link.alive();
      try {
        if (typeof data !== 'string') throw foreign('a text frame', data);
        const message = parse(data, 'an envelope');
        if (message.event === '$reply') {
          link.replies.get(String(/** @type {any} */ (message).ref))?.(message);
          if (link.signal.aborted && !link.replies.size) socket.close();
          return;
        }
        link.take(message);
        if (link.end instanceof RealtimeError) reject(link.end);
        else if (link.end) resolve(link.end);
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = (/** @type {{ code: number }} */ { code }) => {
      lose();
      if (code === 1000) resolve({ over: true });
      else reject(closed(code));
    };
    // Behind an error there is always a close.
    socket.onerror = () => {};
  });
}

/**
 * What a close code means (docs/wire.md); all but 1000.
 * @param {number} code
 */
function closed(code) {
  const kind =
    code === 4401 ? 'unauthorized'
    : [1001, 1011, 1013, 4000].includes(code) ? 'away'
    : [1002, 1003, 1007, 1008].includes(code) ? 'closed'
    : 'network';
  return new RealtimeError(kind, `closed with ${code}`, { status: code });
}
