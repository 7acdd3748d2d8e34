import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { clear, end, id, json, net, never, open, page, pass, reader, settle, sockets, status, unreachable } from './kit.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  clear();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function onSocket(options) {
  const it = reader(options);
  await settle();
  sockets[0].open();
  sockets[0].say(open(0));
  return it;
}

/** A reader that polls, and what its POSTs are answered, one after the other. */
async function onPolls(answers, options) {
  const posts = [];
  const { fetch } = net((request) => {
    if (request.method !== 'POST') return json(page([], 0));
    posts.push(request);
    return answers[posts.length - 1]();
  });
  const it = reader({ transports: ['poll'], fetch, pollMs: 1e6, ...options });
  await settle();
  return { ...it, posts };
}

const keys = (posts) => posts.map(({ headers }) => headers.get('Idempotency-Key'));
const failed = (promise) => promise.then(() => 'no failure', ({ kind, status, message }) => ({ kind, status, message }));

test('over a socket each reply finds who asked, in whatever order', async () => {
  const { rt } = await onSocket();
  const sent = [rt.send('one'), rt.send({ two: 2 }, { event: 'say' }), rt.send(3)];
  await settle();
  const { sent: frames } = sockets[0];
  expect(frames.map(({ event, data }) => [event, data])).toEqual([['message', 'one'], ['say', { two: 2 }], ['message', 3]]);
  const refs = frames.map(({ ref }) => ref);
  sockets[0].say({ ref: refs[2], event: '$reply', data: 'AP8K', encoding: 'base64' });
  sockets[0].say({ ref: refs[1], event: '$reply', error: { status: 429, title: 'slowly, please' } });
  sockets[0].say({ ref: refs[0], event: '$reply', data: null }, { ref: 'nobody', event: '$reply', data: 1 });
  expect(await sent[0]).toBe(null);
  expect(await failed(sent[1])).toEqual({ kind: 'refused', status: 429, message: 'slowly, please' });
  expect(await sent[2]).toEqual(new Uint8Array([0, 255, 10]));
});

test('a reply that cannot be read is no wire, and its message is without an answer at once', async () => {
  const { said, rt } = await onSocket({ fetch: never });
  const sent = failed(rt.send(1));
  await settle();
  sockets[0].say({ ref: sockets[0].sent[0].ref, event: '$reply', data: '***', encoding: 'base64' });
  expect(await sent).toMatchObject({ kind: 'unanswered' });
  expect(said.slice(-2)).toEqual(['error: foreign', 'connecting sse']);
});

test('a frame whose socket is gone is not sent again: nobody knows whether it was handled', async () => {
  const { rt } = await onSocket({ fetch: never });
  const sent = failed(rt.send('once'));
  await settle();
  sockets[0].shut(1006);
  expect(await sent).toMatchObject({ kind: 'unanswered', message: 'perhaps handled' });
  await pass(5_000);
  sockets[1].open();
  sockets[1].say(open(0));
  await settle();
  expect(sockets[1].sent).toEqual([]);
});

test.each([
  ['JSON', () => json({ heard: true }), { heard: true }],
  ['text', () => new Response('hi', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } }), 'hi'],
  ['bytes', () => new Response(new Uint8Array([0, 255]), { headers: { 'Content-Type': 'application/octet-stream' } }), new Uint8Array([0, 255])],
  ['nothing', () => status(204), null],
])('a POST is answered with %s', async (_, answer, value) => {
  const { rt, posts } = await onPolls([answer]);
  expect(await rt.send({ to: 'all' }, { event: 'hello' })).toEqual(value);
  const [{ url, headers, body }] = posts;
  expect([url.search, headers.get('Content-Type'), body]).toEqual(['?event=hello', 'application/json', '{"to":"all"}']);
  expect(keys(posts)[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('a refusal is final whatever its body is', async () => {
  for (const body of ['null', '7', '"no"', '', '<h1>no</h1>']) {
    const { rt, posts } = await onPolls([() => new Response(body, { status: 422, headers: { 'Content-Type': 'application/json' } })]);
    expect(await failed(rt.send('x')), body).toEqual({ kind: 'refused', status: 422, message: 'answered 422' });
    expect(posts, body).toHaveLength(1);
    rt.close();
  }
});

test('a POST is sent again with the same key, and the next has another', async () => {
  const answers = [unreachable, () => status(503, { 'Retry-After': '3' }), () => status(409, { 'Retry-After': '10' }), () => json(1), () => json(2)];
  const { rt, posts } = await onPolls(answers);
  const sent = rt.send('a');
  await pass(30_000);
  expect(await sent).toBe(1);
  expect(await rt.send('b')).toBe(2);
  const [first, ...others] = keys(posts);
  expect(others.slice(0, 3)).toEqual([first, first, first]);
  expect(others[3]).not.toBe(first);
  expect(posts.slice(1, 4).map(({ at }, n) => at - posts[n].at)).toEqual([2_500, 3_000, 10_000]);
});

test('POSTs are sent one after the other, in order', async () => {
  let answer;
  const { rt, posts } = await onPolls([() => new Promise((done) => (answer = done)), () => json('second')]);
  const sent = [rt.send(1), rt.send(2)];
  await settle();
  expect(posts.map(({ body }) => body)).toEqual(['1']);
  answer(json('first'));
  expect(await Promise.all(sent)).toEqual(['first', 'second']);
});

test.each(['3000000', '1e99', 'Fri, 01 Jan 2100 00:00:00 GMT', '0.001'])('a Retry-After of %s is no spin of POSTs', async (said) => {
  const { rt, posts } = await onPolls([...Array(100)].map(() => () => status(503, { 'Retry-After': said })));
  failed(rt.send(1));
  await pass(1_000);
  expect(posts.length).toBeLessThan(6);
});

test('a refusal with a detail is told by that: it says what to do', async () => {
  const problem = { title: 'Unsupported Media Type', status: 415, detail: 'send application/json' };
  const { rt } = await onPolls([() => json(problem, { status: 415 })]);
  expect(await failed(rt.send(1))).toEqual({ kind: 'refused', status: 415, message: 'send application/json' });
});

test('a refusal is told in the words of the server, and a broken key is not tried again', async () => {
  const problem = { title: 'say a text', status: 422 };
  const { rt, posts } = await onPolls([() => json(problem, { status: 422 }), () => new Response('nope', { status: 405 })]);
  expect(await failed(rt.send(1))).toEqual({ kind: 'refused', status: 422, message: 'say a text' });
  expect(await failed(rt.send(1))).toEqual({ kind: 'refused', status: 405, message: 'answered 405' });
  expect(posts.length).toBe(2);
});

test.each([409, 410, 413, 422, 429, 500, 507])('a %i is the handler\'s answer, and is not asked for again', async (code) => {
  const { rt, posts } = await onPolls([() => json({ title: 'no' }, { status: code })]);
  expect(await failed(rt.send(1))).toEqual({ kind: 'refused', status: code, message: 'no' });
  expect(posts.length).toBe(1);
});

test('a 401 asks for other credentials once, with the same key', async () => {
  const asked = [];
  const headers = (about) => (about.transport === 'post' && asked.push(about.unauthorized), {});
  const { rt, posts } = await onPolls([() => status(401), () => json('in'), () => status(401), () => status(401)], { headers });
  expect(await rt.send(1)).toBe('in');
  expect(await failed(rt.send(1))).toMatchObject({ kind: 'unauthorized', status: 401 });
  expect(asked).toEqual([false, true, false, true]);
  expect(new Set(keys(posts)).size).toBe(2);
});

test('what is sent before the reader is connected waits for it, up to a bound', async () => {
  const { rt } = reader({ sendsMax: 2 });
  const sent = [rt.send(1), rt.send(2)];
  expect(await failed(rt.send(3))).toMatchObject({ kind: 'full' });
  await pass(5_000);
  sockets[0].open();
  await settle();
  expect(sockets[0].sent).toEqual([]);
  sockets[0].say(open(0));
  await settle();
  expect(sockets[0].sent.map(({ data }) => data)).toEqual([1, 2]);
  for (const { ref, data } of sockets[0].sent) sockets[0].say({ ref, event: '$reply', data: -data });
  expect(await Promise.all(sent)).toEqual([-1, -2]);
  failed(rt.send(4));
  await settle();
  expect(sockets[0].sent.length).toBe(3);
});

test('no answer within sendMs is told, and so is a reader that is closed', async () => {
  const { rt } = await onSocket({ sendMs: 9_000 });
  const late = failed(rt.send(1));
  await pass(9_000);
  expect(await late).toMatchObject({ kind: 'unanswered' });
  const sent = failed(rt.send(2));
  await settle();
  rt.close();
  expect(await sent).toMatchObject({ kind: 'unanswered' });
  expect(await failed(rt.send(3))).toMatchObject({ kind: 'closed' });
  expect(sockets[0].isClosed).toBe(true);

  const { rt: other } = reader();
  const waiting = failed(other.send(1));
  await settle();
  other.close();
  expect(await waiting).toMatchObject({ kind: 'closed' });
  expect(vi.getTimerCount()).toBe(0);
});

test('the end of the source ends what waits', async () => {
  const { rt } = await onSocket();
  const sent = failed(rt.send(1));
  await settle();
  sockets[0].say(end(0, 'closed', false));
  expect(await sent).toMatchObject({ kind: 'unanswered' });
});

test('a signal gives up waiting, and a message not sent is never sent', async () => {
  const { rt } = reader();
  const stop = new AbortController();
  const sent = rt.send(1, { signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(sent).rejects.toThrow('enough');
  await expect(rt.send(1, { signal: stop.signal })).rejects.toThrow('enough');
  await settle();
  sockets[0].open();
  sockets[0].say(open(0));
  await settle();
  expect(sockets[0].sent).toEqual([]);
});

test.each([
  ['data', undefined],
  ['data', () => {}],
  ['data', new Uint8Array(1)],
  ['data', new ArrayBuffer(1)],
  ['event', 1, '$reply'],
  ['event', 1, 'two\nlines'],
  ['event', 1, ''],
])('wrong %s is a TypeError that names it', async (name, data, event) => {
  const { rt } = reader();
  await expect(rt.send(data, { event })).rejects.toThrow(TypeError);
  await expect(rt.send(data, { event })).rejects.toThrow(name);
});

test.each([['hello'], [''], [7], [{ name: 'hello' }], [{ event: 'hello', key: 'k' }]])('options of %j are a TypeError that says what they are', async (options) => {
  const { rt } = await onSocket();
  await expect(rt.send(1, options)).rejects.toThrow(new TypeError('send takes (JSON data, { event: printable, without $, signal })'));
  expect(sockets[0].sent).toEqual([]);
});

test('while one transport is changed for another, a POST under way keeps its key', async () => {
  const { rt, posts } = await onPolls([unreachable, () => json('heard')], { transports: ['poll', 'websocket'] });
  const sent = rt.send(1);
  await settle();
  rt.switch('websocket');
  await settle();
  sockets[0].open();
  sockets[0].say(open(0, 'resumed'));
  await pass(5_000);
  expect(await sent).toBe('heard');
  expect(new Set(keys(posts)).size).toBe(1);
  expect(sockets[0].sent).toEqual([]);
  expect(sockets[0].url.searchParams.get('offset')).toBe(id(0));
});
