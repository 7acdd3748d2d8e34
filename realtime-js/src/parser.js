// Server-Sent Events, from text in any pieces (WHATWG HTML, section 9.2.6).

import { foreign } from './errors.js';
import { CHARS_MAX } from './request.js';

/** What a line costs beyond its characters: one of many is a node in a rope of strings. */
const LINE_CHARS = 32;

/** @typedef {{ id?: string, data?: string }} Block `data` is absent where no line of it came; an envelope has its name in it */

/**
 * What takes the text.
 * @param {(block: Block) => void} tell @param {(ms: number) => void} retry
 */
export function parser(tell, retry) {
  let rest = '';
  /** @type {Block} */
  let block = {};
  /** In hand, since the last block. */
  let chars = 0;

  /** @param {string} line */
  function take(line) {
    chars += line.length + LINE_CHARS;
    const [, name, value] = /** @type {RegExpExecArray} */ (/^([^:]*):? ?(.*)/s.exec(line));
    if (!line) {
      tell(block);
      block = {};
      chars = 0;
    } else if (name === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === 'id' && !value.includes('\0')) block.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) retry(+value);
  }

  return (/** @type {string} */ text) => {
    rest += text;
    if (/[\r\n]/.test(text)) {
      // A CR at the very end is kept: its LF may be in the next piece.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = /** @type {string} */ (lines.pop());
      lines.forEach(take);
    }
    if (rest.length + chars > CHARS_MAX) throw foreign('an event', 'an endless one');
  };
}
