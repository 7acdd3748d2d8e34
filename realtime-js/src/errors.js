// What can go wrong, as one type: `kind` is for programs, `message` for people.

/**
 * - `network`: not reached, or broken off · `silent`: no sign of life for 2.5 heartbeats · `away`: the server says not now
 * - `unauthorized`: 401, 4401, or permission that expired · `refused`: any other status, of which 400 is the end
 * - `closed`: a close code that blames the client · `foreign`: an answer that is not the wire
 * - of `send`: `refused` (by the handler or the mount) · `unanswered`: it is not known whether it was handled · `full`:
 *   too many wait already · `closed`: the reader is
 * @typedef {'network' | 'silent' | 'away' | 'unauthorized' | 'refused' | 'closed' | 'foreign' | 'unanswered' | 'full'} Kind
 */

export class RealtimeError extends Error {
  name = 'RealtimeError';

  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {number} [status] the HTTP status or the close code; 0 where there is none
   * @param {number} [retryMs] when the server wants to be asked again
   */
  constructor(kind, message, status = 0, retryMs) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.retryMs = retryMs;
  }
}

/**
 * @param {string} expected
 * @param {unknown} got
 */
export function foreign(expected, got) {
  return new RealtimeError('foreign', `expected ${expected}, got ${String(got).slice(0, 80)}`);
}
