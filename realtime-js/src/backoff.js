// Waits: how long, and how they are slept.

/** No wait is longer, whoever asks for it: 15 hours, as on the wire. */
export const WAIT_MS_MAX = 54_000_000;

/** The least that a server is taken to mean by "again later". */
const WAIT_MS_MIN = 250;

/** More, and a timer goes off at once. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** What the other side asks to be waited, within reason. @param {number} ms */
export const asked = (ms) => Math.round(Math.min(Math.max(ms, WAIT_MS_MIN), WAIT_MS_MAX));

/**
 * Full jitter: anything from nothing to a bound that doubles with each try, up to the ceiling.
 * @param {number} tries @param {{ backoffMs: number, backoffMsMax: number }} settings
 */
export function backoff(tries, { backoffMs, backoffMsMax }) {
  return Math.round(Math.random() * Math.min(backoffMsMax, backoffMs * 2 ** tries));
}

/**
 * What `Retry-After` says in milliseconds, in seconds or as a date; nothing where it says nothing.
 * @param {Headers} headers
 */
export function retryAfter(headers) {
  const said = /** @type {string} */ (headers.get('Retry-After'));
  const ms = Number(said) * 1000 || Date.parse(said) - Date.now();
  return ms > 0 ? asked(ms) : undefined;
}

/**
 * Ends early, and quietly, when the signal aborts.
 * @param {number} ms @param {AbortSignal} signal @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, Math.min(ms, TIMER_MS_MAX));
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}
