// Server-Sent Events, from text in any pieces (WHATWG HTML, section 9.2.6).

/** Characters that may be in hand; more is no event of ours (they have a mebibyte), and memory is not endless. */
const CHARS_MAX = 1 << 26;

/** @typedef {{ id?: string, event: string, data?: string }} Block `data` is absent where no line of it came */

/**
 * What takes the text.
 * @param {(block: Block) => void} tell @param {(ms: number) => void} retry
 */
export function parser(tell, retry) {
  let rest = '';
  /** @type {Block} */
  let block = { event: '' };

  /** @param {string} line */
  function take(line) {
    const [, name, value] = /** @type {RegExpExecArray} */ (/^([^:]*)(?:: ?)?(.*)/su.exec(line));
    if (!line) {
      tell(block);
      block = { event: '' };
    } else if (name === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === 'event') block.event = value;
    else if (name === 'id' && !value.includes('\0')) block.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) retry(+value);
  }

  return (/** @type {string} */ text) => {
    rest += text;
    if (/[\r\n]/.test(text)) {
      // A CR at the very end is kept: its LF may be in the next piece.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      lines.forEach(take);
    }
    if (`${rest}${block.data}`.length > CHARS_MAX) throw new RangeError('an endless event');
  };
}
