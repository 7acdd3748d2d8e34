import { expect, test } from 'vitest';
import { parser } from '../src/parser.js';

/** The blocks that come of a text in these pieces. */
function blocks(...pieces) {
  const all = [];
  const push = parser((block) => all.push(block), (retry) => all.push({ retry }));
  pieces.forEach(push);
  return all;
}

const TEXT =
  'retry: 2000\r\nid: a.1\r\nevent: $open\r\ndata: {"x":1}\r\n\r\n' +
  ': comment\nid: a.2\n\nid: a.3\ndata:  two\ndata\ndata: \u2028ü😀\n\n' +
  'id: a.4\rdata:no space\r\revent\ndata: : colon\nid: bad\0id\nretry: 1x\nunknown: y\n\n';

const WHOLE = [
  { retry: 2000 },
  { id: 'a.1', data: '{"x":1}' },
  { id: 'a.2' },
  { id: 'a.3', data: ' two\n\n\u2028ü😀' },
  { id: 'a.4', data: 'no space' },
  { data: ': colon' },
];

test('a stream reads the same, cut at every place', () => {
  expect(blocks(TEXT)).toEqual(WHOLE);
  for (let at = 0; at <= TEXT.length; at++) expect(blocks(TEXT.slice(0, at), TEXT.slice(at)), `cut at ${at}`).toEqual(WHOLE);
  expect(blocks(...TEXT)).toEqual(WHOLE);
});

test('bytes cut in the middle of a character read the same', () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (let at = 0; at <= bytes.length; at++) {
    const decoder = new TextDecoder();
    const pieces = [bytes.slice(0, at), bytes.slice(at)].map((piece) => decoder.decode(piece, { stream: true }));
    expect(blocks(...pieces), `cut at ${at}`).toEqual(WHOLE);
  }
});

test('a block that was cut off is dropped whole', () => {
  expect(blocks('id: a.1\ndata: half')).toEqual([]);
  expect(blocks('id: a.1\ndata: half\n')).toEqual([]);
});

test('an empty data line is an event, and none is not', () => {
  expect(blocks('data\n\n')).toEqual([{ data: '' }]);
  expect(blocks(':\n\n')).toEqual([{}]);
});

test('what never ends is refused', () => {
  const piece = 'x'.repeat(1 << 24);
  expect(() => blocks(piece, piece, piece, piece, piece)).toThrow('an endless one');
  const line = `data: ${piece}\n`;
  expect(() => blocks(line, line, line, line, line)).toThrow('an endless one');
});

test('lines of nothing are no way around it: each costs more than its characters', () => {
  for (const line of ['data:\n', 'data\n', ':\n', 'unknown\n']) {
    const push = parser(() => {}, () => {});
    const lines = line.repeat(1 << 14);
    const endless = () => {
      for (let n = 0; n < 400; n++) push(lines);
    };
    expect(endless, line).toThrow('an endless one');
  }
});

test('of an event that ends no more than its own length counts', () => {
  const line = `data: ${'x'.repeat(1 << 24)}\n`;
  const told = [];
  const push = parser(({ data }) => told.push(data.length), () => {});
  for (let n = 0; n < 8; n++) push(`${line}${line}\n`);
  expect(told).toEqual(Array(8).fill(2 ** 25 + 1));
});
