import { expect, test } from 'vitest';
import { settings } from '../src/options.js';
import { Realtime } from '../src/realtime.js';
import { Socket, URL_, reader, clear } from './kit.js';

const wrong = {
  transports: [[], 'sse', ['sse', 'carrier-pigeon'], null],
  start: ['', -1, 'last-0', 'last-10001', 'last-x', 'a b', 'x'.repeat(97), null],
  headers: ['bearer', 7, { 'no good': 'x' }, null],
  protocols: ['bearer', {}],
  credentials: ['always', true],
  signal: [{}, true, null],
  fetch: ['fetch'],
  WebSocket: [{}],
  backoffMs: [0, -1, NaN, '5', Infinity, 2 ** 31],
  backoffMsMax: [0],
  connectMs: ['soon'],
  pollMs: [-5],
  waitSeconds: [null],
  bufferMax: [0],
  sendsMax: [0],
  sendMs: [0],
};

test.each(Object.entries(wrong))('a wrong %s is thrown by its name', (name, values) => {
  for (const value of values) {
    const make = () => new Realtime(URL_, { WebSocket: Socket, [name]: value });
    expect(make, String(value)).toThrow(TypeError);
    expect(make, String(value)).toThrow(new RegExp(`\\b${name}\\b`));
  }
});

test.each([
  ['transports', 'sse', 'transports takes a list of websocket,sse,long-poll,poll'],
  ['start', -1, "start takes '-1', 'now', 'last-N' or a cursor"],
  ['headers', 7, 'headers takes headers or a function'],
  ['protocols', 'x', 'protocols takes a list or a function'],
  ['credentials', true, 'credentials takes omit, same-origin or include'],
  ['signal', true, 'signal takes an AbortSignal'],
  ['fetch', 'fetch', 'fetch takes a function'],
  ['WebSocket', {}, 'WebSocket takes a class'],
  ['pollMs', '5', 'pollMs takes a number above 0, below 2^31'],
])('a wrong %s is told what it takes', (name, value, message) => {
  expect(() => settings(URL_, { WebSocket: Socket, [name]: value })).toThrow(new TypeError(message));
});

test.each(['ws://events.test/events', '/events'])('the URL %s is told what it takes', (url) => {
  const message = 'url takes a whole http(s) URL or a function';
  expect(() => settings(url, {})).toThrow(new TypeError(message));
});

test('a wrong URL and an unknown option are thrown by name', () => {
  for (const url of [undefined, '', '/relative-without-a-page', 'ws://events.test', 7, null, {}]) {
    expect(() => new Realtime(url), String(url)).toThrow(/^url takes/);
  }
  expect(() => new Realtime(URL_, { tranports: ['sse'] })).toThrow(new TypeError('no option tranports'));
});

test('what is right passes', () => {
  const right = {
    transports: [['poll'], ['sse', 'websocket']],
    start: ['-1', 'now', 'last-1', 'last-10000', '8f3a61c0d2e94b17.000000000000000c', '8f3a61c0d2e94b17~0'],
    headers: [{ a: 'b' }, new Headers(), [['a', 'b']], () => ({})],
    protocols: [['bearer.x'], () => []],
    credentials: ['omit', 'same-origin', 'include'],
    signal: [new AbortController().signal, undefined],
    backoffMs: [1, undefined],
  };
  for (const [name, values] of Object.entries(right)) {
    for (const value of values) {
      const set = settings(URL_, { WebSocket: Socket, [name]: value })[name];
      expect(set).toEqual(value ?? (name === 'backoffMs' ? 5_000 : undefined));
    }
  }
  expect(settings(new URL(URL_), {}).url).toBe(URL_);
  expect(settings(() => URL_, {}).url).toBeTypeOf('function');
});

test('without a WebSocket that transport is passed over, and is missed where it is the only one', () => {
  const had = globalThis.WebSocket;
  delete globalThis.WebSocket;
  try {
    expect(settings(URL_, {}).transports).toEqual(['sse', 'long-poll', 'poll']);
    expect(() => settings(URL_, { transports: ['websocket'] })).toThrow(/WebSocket/);
  } finally {
    if (had) globalThis.WebSocket = had;
  }
});

test('a transport that is none of those allowed cannot be switched to', () => {
  const { rt } = reader({ transports: ['sse'] });
  expect(() => rt.switch('poll')).toThrow(new TypeError('switch takes sse'));
  clear();
});
