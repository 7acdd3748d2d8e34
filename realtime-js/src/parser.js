// Server-Sent Events, from text in any pieces (WHATWG HTML, section 9.2.6).

/** Characters of one block; more is no event of ours (they have a mebibyte), and memory is not endless. */
const BLOCK_CHARS_MAX = 1 << 26;

/** @typedef {{ id?: string, event: string, data?: string }} Block `data` is absent where no line of it came */

export class Parser {
  #rest = '';
  #scanned = 0;
  #afterCr = false;
  #size = 0;
  /** @type {Block} */
  #block = { event: '' };

  /**
   * @param {(block: Block) => void} block
   * @param {(ms: number) => void} retry
   */
  constructor(block, retry) {
    this.block = block;
    this.retry = retry;
  }

  /** @param {string} text */
  push(text) {
    if (this.#afterCr && text) {
      this.#afterCr = false;
      if (text[0] === '\n') text = text.slice(1);
    }
    const all = this.#rest + text;
    const ends = /\r\n?|\n/g;
    ends.lastIndex = this.#scanned;
    let start = 0;
    for (let end; (end = ends.exec(all)); start = ends.lastIndex) {
      // The LF of this CR may be in the next piece.
      this.#afterCr = end[0] === '\r' && ends.lastIndex === all.length;
      this.#line(all.slice(start, end.index));
    }
    this.#rest = all.slice(start);
    this.#scanned = this.#rest.length;
    if (this.#size + this.#scanned > BLOCK_CHARS_MAX) throw new RangeError(`a block of over ${BLOCK_CHARS_MAX} characters`);
  }

  /** @param {string} line */
  #line(line) {
    const block = this.#block;
    if (!line) {
      this.#block = { event: '' };
      this.#size = 0;
      if (block.data !== undefined || block.id !== undefined) this.block(block);
      return;
    }
    this.#size += line.length;
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value[0] === ' ') value = value.slice(1);
    if (name === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === 'event') block.event = value;
    else if (name === 'id' && !value.includes('\0')) block.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retry(Number(value));
  }
}
