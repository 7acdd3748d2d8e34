// The client over real sockets, against a small server written from docs/wire.md.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Realtime } from '../src/realtime.js';
import { end, event, id, live, open } from './kit.js';

const TRICKY = ['a\r\nb\nc\rd', '\0', '\uFEFFbom', '  spaces ', '😀\u2028', '', '12', 'null', '{"n":1}', 'x'.repeat(1 << 20)];
const LAST = 60;
const entry = (n) => event(n, n % 2 ? { n, text: TRICKY[n % 10] } : TRICKY[n % 10]);

let head = 0;
const readers = new Set();
const server = createServer(answer);
const sockets = new WebSocketServer({ server, handleProtocols: () => 'realtime.v1' });

function place(url) {
  return parseInt((url.searchParams.get('offset') ?? '').split('.')[1] || '0', 16);
}

/** Everything behind a place, and what comes, until the last. */
function follow(from, say) {
  say(open(from, from ? 'resumed' : 'fresh'));
  let at = from;
  const tell = () => {
    while (at < head) say(entry(++at));
    if (at === LAST) say(end(LAST, 'closed', false));
  };
  tell();
  say(live(at));
  readers.add(tell);
  return () => readers.delete(tell);
}

sockets.on('connection', (socket, { url }) => {
  const stop = follow(place(new URL(url, 'http://x')), (message) => socket.send(JSON.stringify(message)));
  socket.on('message', (text) => {
    const { ref, data } = JSON.parse(text);
    socket.send(JSON.stringify({ ref, event: '$reply', data: { heard: data } }));
  });
  socket.on('close', stop);
});

function answer(request, response) {
  const url = new URL(request.url, 'http://x');
  if (request.method === 'POST') {
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => response.setHeader('Content-Type', 'application/json').end(`{"heard":${body}}`));
    return;
  }
  const from = place(url);
  if (request.headers.accept.startsWith('text/event-stream')) {
    response.setHeader('Content-Type', 'text/event-stream').write('retry: 10\n');
    const say = ({ id, event, ...rest }) =>
      response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify({ id, event, ...rest })}\n\n`);
    request.on('close', follow(from, say));
    return;
  }
  const reply = () => {
    const events = [];
    for (let n = from + 1; n <= head; n++) events.push(entry(n));
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ events, next: id(Math.max(from, head)), upToDate: true, closed: head === LAST }));
  };
  if (head > from || request.headers.prefer !== 'wait=20') return reply();
  const once = () => (readers.delete(once), reply());
  readers.add(once);
}

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  server.close();
});

test('every ordered switch in mid-stream loses nothing, tells nothing twice, and changes no payload', async () => {
  const order = ['websocket', 'sse', 'long-poll', 'poll', 'websocket', 'long-poll', 'sse', 'poll', 'sse', 'websocket', 'poll', 'long-poll', 'websocket'];
  const rt = new Realtime(`http://127.0.0.1:${server.address().port}/events`, { WebSocket, pollMs: 20 });
  const used = new Set();
  const seen = [];
  const replies = [];
  rt.addEventListener('tick', ({ data, lastEventId }) => seen.push({ id: lastEventId, event: 'tick', data }));
  rt.onopen = ({ transport }) => used.add(transport);
  const errors = [];
  rt.onerror = ({ error }) => errors.push(error);
  const ended = new Promise((done) => (rt.onend = done));

  for (const transport of order) {
    const opened = rt.state === 'open' && rt.transport === transport ? null : new Promise((done) => rt.addEventListener('open', done, { once: true }));
    if (opened) rt.switch(transport);
    await opened;
    replies.push(await rt.send(transport));
    // Some of it while the transports change.
    const grow = () => {
      if (head < LAST - 1) head++;
      for (const tell of [...readers]) tell();
    };
    for (let n = 0; n < 4; n++) setTimeout(grow, n * 10);
    await new Promise((done) => setTimeout(done, 25));
  }
  await new Promise((done) => setTimeout(done, 100));
  head = LAST;
  for (const tell of [...readers]) tell();
  await ended;

  expect(errors).toEqual([]);
  expect([...used].sort()).toEqual(['long-poll', 'poll', 'sse', 'websocket']);
  expect(replies).toEqual(order.map((heard) => ({ heard })));
  expect(seen.map(({ id }) => id)).toEqual(Array.from({ length: LAST }, (_, n) => id(n + 1)));
  expect(seen).toEqual(Array.from({ length: LAST }, (_, n) => entry(n + 1)));
  expect(rt.state).toBe('closed');
});
