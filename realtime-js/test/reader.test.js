import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { backoff, retryAfter } from '../src/backoff.js';
import { Socket, URL_, clear, end, event, gap, id, json, live, net, never, open, page, pass, reader, settle, sockets, status, stream, unreachable } from './kit.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  clear();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** The reader after its socket is open, at place 0. */
async function onSocket(options) {
  const it = reader(options);
  await settle();
  sockets[0].open();
  sockets[0].say(open(0));
  return it;
}

describe('a stream', () => {
  test('is open with its place known, then tells what comes', async () => {
    const { rt, said, events } = reader({ start: 'last-5' });
    expect([rt.state, rt.readyState, rt.lastEventId]).toEqual(['connecting', 0, '']);
    await settle();
    expect(sockets[0].url.href).toBe('ws://events.test/events?offset=last-5');
    expect(sockets[0].protocols).toEqual(['realtime.v1']);
    sockets[0].open();
    sockets[0].say(open(3));
    expect([rt.state, rt.readyState, rt.lastEventId]).toEqual(['open', 1, id(3)]);
    sockets[0].say({ ...event(4), topic: 'cpu', key: 'k' }, live(4), live(4), { id: id(9), event: '$ping', data: {} });
    expect(said).toEqual(['connecting websocket', 'open websocket', 'open: fresh', 4, 'live']);
    expect(events[0]).toMatchObject({ type: 'tick', data: { n: 4 }, lastEventId: id(4), topic: 'cpu', key: 'k' });
    expect(events[0]).toBeInstanceOf(MessageEvent);
    expect(rt.lastEventId).toBe(id(9));
    rt.close();
    expect([rt.state, rt.readyState, sockets[0].isClosed]).toEqual(['closed', 2, true]);
  });

  test('drops what was seen, by the place of the last event and never of a control', async () => {
    const { rt, numbers } = await onSocket();
    const twice = [];
    rt.addEventListener('duplicate', ({ lastEventId }) => twice.push(lastEventId));
    sockets[0].say(event(5), event(5), event(4), live(9), event(6), event(16), event(10));
    expect(numbers()).toEqual([5, 6, 16]);
    expect(twice).toEqual([id(5), id(4), id(10)]);
  });

  test('says a gap, and takes what comes after it in another epoch', async () => {
    const { rt, said } = await onSocket();
    const other = id(2, 'beef').replace('feed', 'beef');
    sockets[0].say(event(5), { id: other, event: '$gap', data: { reason: 'epoch', from: id(5), to: other } });
    sockets[0].say({ ...event(1), id: id(3, '1') });
    expect(said.slice(-3)).toEqual([5, 'gap: epoch', 1]);
    expect(rt.lastEventId).toBe(id(3, '1'));
  });

  test('cut off between $open and $gap comes back with its old place', async () => {
    const { rt, said } = await onSocket();
    sockets[0].say(event(5));
    sockets[0].shut(1006);
    await pass(2_500);
    expect(sockets[1].url.searchParams.get('offset')).toBe(id(5));
    sockets[1].open();
    sockets[1].say(open(5, 'gap'));
    expect(rt.lastEventId).toBe(id(5));
    sockets[1].say(gap(5, 8), event(9));
    expect(said.slice(-3)).toEqual(['open: gap', 'gap: trimmed', 9]);
  });

  test('tells bytes as bytes, and text as text', async () => {
    const { events } = await onSocket();
    sockets[0].say({ ...event(1), encoding: 'base64', data: 'AP8K' }, event(2, '12'), event(3, null));
    expect(events.map(({ data }) => data)).toEqual([new Uint8Array([0, 255, 10]), '12', null]);
  });

  test('drops what was seen under another tag: a key of the mount was changed', async () => {
    const { numbers } = await onSocket();
    const tagged = (n, tag) => ({ ...event(n), id: `${id(n)}-${tag}` });
    sockets[0].say(tagged(1, 'aaa'), tagged(1, 'bbb'), tagged(2, 'aaa'));
    expect(numbers()).toEqual([1, 2]);
  });

  test('with a heartbeat slower than ours is waited for from its $open on', async () => {
    const { rt } = await onSocket();
    sockets[0].say(open(0, 'fresh', 60_000));
    await pass(149_999);
    expect(rt.state).toBe('open');
    await pass(1);
    expect(rt.state).toBe('waiting');
  });

  test('with a heartbeat beyond what a timer holds has none due', async () => {
    const { rt, said } = await onSocket();
    sockets[0].say(open(0, 'fresh', 365 * 24 * 3600 * 1000), live(0), event(1));
    await pass(60_000);
    sockets[0].say(event(2));
    await pass(60_000);
    expect([rt.state, said.filter((word) => /error/.test(word))]).toEqual(['open', []]);
  });

  test.each([[-1], [0], ['x'], [null], [{}]])('with a heartbeat of %j has the one by default', async (beat) => {
    const { rt } = await onSocket();
    sockets[0].say(open(0, 'fresh', beat), event(1));
    await pass(37_499);
    expect(rt.state).toBe('open');
    await pass(1);
    expect(rt.state).toBe('waiting');
  });

  test('without a byte for 2.5 heartbeats is dead', async () => {
    const { said } = await onSocket({ backoffMs: 1_000 });
    sockets[0].say(open(0, 'fresh', 1_000));
    await pass(2_000);
    sockets[0].say({ id: id(0), event: '$ping', data: {} });
    await pass(2_499);
    expect(said).not.toContain('error: silent');
    await pass(1);
    expect(said.slice(-2)).toEqual(['error: silent', 'waiting websocket']);
    expect(sockets[0].isClosed).toBe(true);
    sockets[0].say(event(1));
    expect(said).not.toContain(1);
  });
});

describe('each close code', () => {
  const rows = [
    [1000, 'closed websocket', 'end'],
    [1001, 'error: away', 'waiting websocket'],
    [1002, 'error: closed', 'connecting sse'],
    [1003, 'error: closed', 'connecting sse'],
    [1006, 'error: network', 'waiting websocket'],
    [1007, 'error: closed', 'connecting sse'],
    [1008, 'error: closed', 'connecting sse'],
    [1009, 'error: network', 'waiting websocket'],
    [1011, 'error: away', 'waiting websocket'],
    [1013, 'error: away', 'waiting websocket'],
    [4000, 'error: away', 'waiting websocket'],
    [4001, 'error: network', 'waiting websocket'],
    [4401, 'connecting websocket'],
  ];
  test.each(rows)('%i is followed by what the wire says', async (code, ...words) => {
    const { said } = await onSocket({ fetch: never });
    sockets[0].say(event(1));
    sockets[0].shut(code);
    await settle();
    expect(said.slice(4)).toEqual(words);
    await pass(5_000);
    const back = code !== 1000 && !words.includes('connecting sse');
    expect(sockets.length).toBe(back ? 2 : 1);
    if (back) expect(sockets[1].url.searchParams.get('offset')).toBe(id(1));
  });
});

describe('$end', () => {
  test('without a retry is the end', async () => {
    const { rt, said } = await onSocket();
    sockets[0].say(end(0, 'closed', false));
    await settle();
    expect(said.slice(-2)).toEqual(['closed websocket', 'end']);
    await pass(100_000);
    expect([sockets.length, rt.readyState]).toEqual([1, 2]);
  });

  test('with a retry is obeyed to the millisecond, whoever looks', async () => {
    const page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    const { said } = await onSocket();
    sockets[0].say(end(0, 'drain', 7_000));
    await settle();
    expect(said.at(-1)).toBe('waiting websocket');
    page.dispatchEvent(new Event('online'));
    await pass(6_999);
    expect(sockets.length).toBe(1);
    await pass(1);
    expect(sockets.length).toBe(2);
  });

  test('of a permission that expired asks for another once, then stops', async () => {
    const asked = [];
    const { rt, said } = await onSocket({ protocols: (about) => (asked.push(about.unauthorized), ['bearer.x']) });
    sockets[0].say(end(0, 'expired', false));
    await settle();
    expect(asked).toEqual([false, true]);
    sockets[1].shut(4401);
    await settle();
    expect(said.slice(-2)).toEqual(['error: unauthorized', 'closed websocket']);
    expect(rt.state).toBe('closed');
  });
});

describe('coming back', () => {
  test('waits a random time whose bound doubles up to the ceiling', () => {
    const settings = { backoffMs: 5_000, backoffMsMax: 60_000 };
    const of = (random) => (vi.mocked(Math.random).mockReturnValue(random), [0, 1, 2, 3, 4, 50].map((n) => backoff(n, settings)));
    expect(of(0)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(of(1)).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  test('tells whole milliseconds', async () => {
    vi.mocked(Math.random).mockReturnValue(0.123456789);
    const waits = [];
    const { rt } = reader({ transports: ['sse'] });
    rt.addEventListener('state', ({ state, retryMs }) => state === 'waiting' && waits.push(retryMs));
    await pass(10_000);
    expect(waits.slice(0, 2)).toEqual([617, 1_235]);
  });

  test.each(['1e999', '1e12', '54000001'])('after a retry of %s ms is no later than in 15 hours', async (said) => {
    const { rt } = await onSocket();
    let told;
    rt.addEventListener('state', ({ retryMs }) => (told = retryMs));
    sockets[0].say(`{"event":"$end","data":{"reason":"drain","retry":${said}}}`);
    await settle();
    expect(told).toBe(54_000_000);
  });

  test('after a retry: that no timer holds is no tight loop', async () => {
    const { fetch, requests } = net(() => {
      const sse = stream();
      sse.write(`retry: ${'9'.repeat(400)}\n`);
      sse.say(open(0));
      setTimeout(sse.end, 6_000);
      return sse.response;
    });
    reader({ transports: ['sse'], fetch });
    await pass(60_000);
    expect(requests.length).toBe(1);
  });

  test('with the longest pollMs that may be set is no tight loop', async () => {
    vi.mocked(Math.random).mockReturnValue(0.999);
    const { fetch, requests } = net(() => json(page([], 0)));
    reader({ transports: ['poll'], fetch, pollMs: 2 ** 31 - 1 });
    await pass(60_000);
    expect(requests.length).toBe(1);
  });

  test('with a pollMs above the heartbeats is not taken for dead between two polls', async () => {
    const { fetch, requests } = net(() => json(page([], 0)));
    const { said } = reader({ transports: ['poll'], fetch, pollMs: 300_000 });
    await pass(601_000);
    expect([requests.length, said.includes('error: silent')]).toEqual([3, false]);
  });

  test('with the longest waitSeconds that may be set is not taken for dead at once', async () => {
    const { fetch } = net((_, n) => (n === 1 ? json(page([], 0)) : never()));
    const { rt } = reader({ transports: ['long-poll'], fetch, waitSeconds: 2 ** 31 - 1 });
    await pass(60_000);
    expect(rt.state).toBe('open');
  });

  test('from an unreachable server is never a tight loop', async () => {
    const { fetch, requests } = net(unreachable);
    const { said } = reader({ transports: ['sse'], fetch });
    await pass(10 * 60_000);
    const pauses = requests.slice(1).map(({ at }, n) => at - requests[n].at);
    expect(pauses.slice(0, 6)).toEqual([2_500, 5_000, 10_000, 20_000, 30_000, 30_000]);
    expect(requests.length).toBeLessThan(25);
    expect(said).not.toContain('connecting long-poll');
  });

  test('happens at once when the network is back, or somebody looks', async () => {
    const page = new EventTarget();
    const document = Object.assign(new EventTarget(), { hidden: true });
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    vi.stubGlobal('document', document);
    const { fetch, requests } = net(unreachable);
    reader({ transports: ['poll'], fetch });
    await settle();
    page.dispatchEvent(new Event('online'));
    await settle();
    expect(requests.length).toBe(2);
    document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    expect(requests.length).toBe(2);
    document.hidden = false;
    document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    expect(requests.length).toBe(3);
  });

  test('does not wait where it was roused in the middle of the attempt, unless for a time that is named', async () => {
    const page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    for (const [answer, wait_ms] of [[unreachable, 0], [() => status(503, { 'Retry-After': '9' }), 9_000]]) {
      let done;
      const first = new Promise((answered) => (done = () => answered(answer())));
      const { fetch, requests } = net((_, n) => (n === 1 ? first : never()));
      const { rt } = reader({ transports: ['poll'], fetch });
      await settle();
      page.dispatchEvent(new Event('online'));
      await settle();
      expect(requests.length).toBe(1);
      done();
      await settle();
      await pass(Math.max(wait_ms - 1, 0));
      expect(requests.length).toBe(wait_ms ? 1 : 2);
      await pass(1);
      expect(requests.length).toBe(2);
      rt.close();
    }
  });

  test('begins with short waits again when it is roused: what failed while offline says nothing of the server', async () => {
    const page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    const { fetch, requests } = net(unreachable);
    reader({ transports: ['poll'], fetch });
    await pass(200_000);
    page.dispatchEvent(new Event('online'));
    await settle();
    const { length } = requests;
    await pass(2_499);
    expect(requests.length).toBe(length);
    await pass(1);
    expect(requests.length).toBe(length + 1);
  });

  test('waits where it was roused while all was well: whoever reads is not to come back at one moment', async () => {
    const page = new EventTarget();
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
    const { said } = reader({ transports: ['websocket'] });
    await settle();
    page.dispatchEvent(new Event('online'));
    sockets[0].open();
    sockets[0].say(open(0));
    page.dispatchEvent(new Event('online'));
    await pass(10_000);
    sockets[0].shut(1006);
    await settle();
    expect(said.at(-1)).toBe('waiting websocket');
    await pass(2_499);
    expect(sockets.length).toBe(1);
    await pass(1);
    expect(sockets.length).toBe(2);
  });

  test.each([
    ['9', 9_000],
    ['Thu, 01 Jan 2026 00:00:09 GMT', 9_000],
    ['Thu, 01 Jan 2020 00:00:09 GMT', undefined],
    ['0', undefined],
    ['0.001', 250],
    ['0.25', 250],
    ['0.2514', 251],
    ['54000', 54_000_000],
    ['54001', 54_000_000],
    ['3000000', 54_000_000],
    ['1e99', 54_000_000],
    ['Fri, 01 Jan 2100 00:00:00 GMT', 54_000_000],
    ['soon', undefined],
    [undefined, undefined],
  ])('reads Retry-After: %s', (said, ms) => {
    vi.setSystemTime('2026-01-01T00:00:00Z');
    expect(retryAfter(new Headers(said === undefined ? {} : { 'Retry-After': said }))).toBe(ms);
  });

  test('obeys Retry-After, and the retry: of a stream that broke off', async () => {
    const streams = [stream(), stream()];
    const { fetch, requests } = net((_, n) => (n === 1 ? status(503, { 'Retry-After': '9' }) : streams[n - 2].response));
    const { said } = reader({ transports: ['sse'], fetch });
    await pass(8_999);
    expect(requests.length).toBe(1);
    await pass(1);
    streams[0].write('retry: 1234\n');
    streams[0].say(open(0));
    await pass(6_000);
    streams[0].fail();
    await pass(1_233);
    expect([requests.length, said.at(-1)]).toEqual([2, 'waiting sse']);
    await pass(1);
    expect(requests.length).toBe(3);
  });
});

describe('which transport', () => {
  test('a WebSocket that opens and dies without a message has failed: SSE is next at once', async () => {
    const sse = stream();
    const { said } = reader({ fetch: async () => sse.response });
    await settle();
    sockets[0].open();
    sockets[0].shut(1006);
    await settle();
    sse.say(open(0));
    await settle();
    expect(said).toEqual(['connecting websocket', 'error: network', 'connecting sse', 'open sse', 'open: fresh']);
  });

  test('a WebSocket of another subprotocol is none of ours', async () => {
    const { said, rt } = reader({ fetch: never });
    let message;
    rt.addEventListener('error', ({ error }) => (message = error.message));
    await settle();
    sockets[0].open('');
    await settle();
    expect(said.slice(-2)).toEqual(['error: foreign', 'connecting sse']);
    expect(message).toBe('expected realtime.v1, got ');
  });

  test('after three quick closes of SSE it is long-poll, and that is remembered for the tab', async () => {
    const kept = new Map();
    vi.stubGlobal('sessionStorage', { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) });
    const { fetch, requests } = net(({ url }) => {
      if (url.searchParams.get('live') === 'long-poll') return json(page([], 0));
      const sse = stream();
      sse.say(open(0));
      setTimeout(sse.end, 200);
      return sse.response;
    });
    const options = { transports: ['sse', 'long-poll'], fetch };
    const { said } = reader(options);
    await pass(60_000);
    expect(requests.slice(0, 4).map(({ url }) => url.searchParams.get('live'))).toEqual(['sse', 'sse', 'sse', 'long-poll']);
    expect(said.filter((word) => word === 'connecting sse').length).toBe(3);
    expect(kept.get(`realtime:${URL_}`)).toBe('long-poll');
    clear();
    expect(reader(options).rt.transport).toBe('long-poll');
  });

  test('SSE that answers and is then held back is given up at once', async () => {
    const { said } = reader({ transports: ['sse', 'poll'], fetch: net(({ url }) => (url.searchParams.get('live') === 'sse' ? stream().response : json(page([], 0)))).fetch });
    await pass(10_000);
    expect(said.slice(0, 4)).toEqual(['connecting sse', 'error: silent', 'connecting poll', 'open poll']);
  });

  test('SSE that lived for longer than a moment is taken up again', async () => {
    const { fetch, requests } = net(() => {
      const sse = stream();
      sse.say(open(0));
      setTimeout(sse.end, 6_000);
      return sse.response;
    });
    reader({ transports: ['sse', 'poll'], fetch });
    await pass(120_000);
    expect(requests.length).toBeGreaterThan(8);
    expect(requests.every(({ url }) => url.searchParams.get('live') === 'sse')).toBe(true);
  });

  test.each([
    ['a page for people', () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } }), 'expected text/event-stream, got text/html'],
    ['an event before $open', () => withSse((sse) => sse.write('data: {"id":"x","data":1}\n\n')), 'expected $open, got message'],
    ['an event without an id', () => withSse((sse) => (sse.say(open(0)), sse.write('data: {"data":1}\n\n'))), 'expected an id, got undefined'],
    ['an event with an empty id', () => withSse((sse) => (sse.say(open(0)), sse.write('data: {"id":"","data":1}\n\n'))), 'expected an id, got '],
    ['an id that is no text', () => withSse((sse) => (sse.say(open(0)), sse.write('data: {"id":{"trim":1},"data":1}\n\n'))), 'expected an id, got [object Object]'],
    ['bytes that are none', () => withSse((sse) => sse.say(open(0), { ...event(1), encoding: 'base64', data: '***' })), /^expected an envelope, got .*tick/],
    ['a control that is no JSON', () => withSse((sse) => sse.write('event: $open\ndata: {\n\n')), 'expected JSON, got {'],
    ['a bare payload of JSON', () => withSse((sse) => sse.write('id: x\nevent: $open\ndata: {"outcome":"fresh"}\n\n')), 'expected an id, got undefined'],
    ['a bare payload of text', () => withSse((sse) => (sse.say(open(0)), sse.write('id: x\ndata: text\n\n'))), 'expected JSON, got text'],
    ['a status', () => status(406), 'answered 406'],
  ])('%s is no wire: the error says what was expected, then the next is tried', async (_, answer, message) => {
    let error;
    const { fetch } = net(({ url }) => (url.searchParams.get('live') === 'sse' ? answer() : never()));
    const { rt, said } = reader({ transports: ['sse', 'poll'], fetch });
    rt.addEventListener('error', (event) => (error = event.error));
    await settle();
    expect(error.message).toMatch(message);
    expect(said.at(-1)).toBe('connecting poll');
  });

  test.each(['{"event":"$open"}', '{"event":null}', '{"event":"$end","data":null}', '{"id":7,"event":"$ping"}', 'null', '7'])(
    '%s over a WebSocket is no wire, either: it is told, and the next is tried',
    async (nonsense) => {
      const sse = stream();
      sse.say(open(0));
      const { said, rt } = reader({ transports: ['websocket', 'sse'], fetch: async () => sse.response });
      await settle();
      sockets[0].open();
      sockets[0].say(nonsense);
      await settle();
      expect(said).toEqual(['connecting websocket', 'error: foreign', 'connecting sse', 'open sse', 'open: fresh']);
      expect(rt.transport).toBe('sse');
    },
  );

  function withSse(write) {
    const sse = stream();
    write(sse);
    return sse.response;
  }

  test('when none is the wire, each round ends in a wait', async () => {
    const { fetch, requests } = net(() => new Response('hello'));
    const { said } = reader({ transports: ['sse', 'long-poll', 'poll'], fetch });
    await settle();
    expect(requests.length).toBe(3);
    expect(said.at(-1)).toMatch(/^waiting/);
    await pass(10 * 60_000);
    expect(requests.length).toBeLessThan(3 * 25);
  });

  test('a 404 may be a deploy: each round ends in an error and a wait that grows', async () => {
    const { fetch, requests } = net(() => status(404));
    const { said, rt } = reader({ transports: ['sse', 'poll'], fetch });
    await pass(10 * 60_000);
    const round = ['connecting sse', 'error: refused', 'connecting poll', 'error: refused', 'waiting sse'];
    expect(said.slice(0, 10)).toEqual([...round, ...round]);
    expect(requests.length).toBeLessThan(2 * 25);
    expect(rt.state).not.toBe('closed');
  });

  test.each(['sse', 'long-poll', 'poll'])('a 400 over %s will get no better: it is told why, and it is the end', async (transport) => {
    const problem = { title: 'Bad Request', status: 400, detail: 'the cursor is malformed' };
    const { fetch, requests } = net(() => json(problem, { status: 400 }));
    const { said, rt } = reader({ transports: [transport, 'websocket'], start: 'rubbish', fetch });
    let error;
    rt.addEventListener('error', (event) => (error = event.error));
    await pass(10 * 60_000);
    expect([requests.length, sockets.length]).toEqual([1, 0]);
    expect(said).toEqual([`connecting ${transport}`, 'error: refused', `closed ${transport}`]);
    expect(error).toMatchObject({ kind: 'refused', status: 400, message: 'the cursor is malformed' });
  });

  test.each([
    ['its detail', { title: 'Service Unavailable', detail: 'draining: come back' }, 'draining: come back'],
    ['its title, where it has no more', { title: 'Service Unavailable' }, 'Service Unavailable'],
    ['its status, where it has no words', null, 'answered 503'],
  ])('a refusal is told by %s', async (_, problem, message) => {
    const { rt } = reader({ transports: ['sse'], fetch: async () => json(problem, { status: 503, headers: { 'Retry-After': '9' } }) });
    let error;
    rt.addEventListener('error', (event) => (error = event.error));
    await settle();
    expect(error).toMatchObject({ kind: 'away', status: 503, message, retryMs: 9_000 });
  });

  test('a server that is away loses no transport its place', async () => {
    const { fetch } = net(unreachable);
    const { said } = await onSocket({ fetch });
    await pass(6_000);
    sockets[0].shut(1006);
    await pass(2_500);
    for (let n = 1; n < 5; n++) {
      const had = sockets.length;
      sockets.at(-1).shut(1006);
      for (let ms = 0; sockets.length === had && ms < 61_000; ms += 1_000) await pass(1_000);
    }
    expect(said.at(-1)).toBe('connecting websocket');
    sockets.at(-1).open();
    sockets.at(-1).say(open(0, 'resumed'));
    expect(said.slice(-2)).toEqual(['open websocket', 'open: resumed']);
  });
});

describe('a switch', () => {
  test('goes on from the same place, drops what is told twice, hears nothing of the old', async () => {
    const sse = stream();
    const { fetch, requests } = net(() => sse.response);
    const { rt, said, numbers } = await onSocket({ fetch });
    sockets[0].say(event(1), event(2));
    rt.switch('sse');
    sockets[0].say(event(3));
    await settle();
    expect(sockets[0].isClosed).toBe(true);
    expect(requests[0].url.searchParams.get('offset')).toBe(id(2));
    sse.say(open(2, 'resumed'), event(2), event(3), event(4));
    await settle();
    expect(numbers()).toEqual([1, 2, 3, 4]);
    expect(said.filter((word) => /^(error|waiting)/.test(word))).toEqual([]);
    rt.switch('sse');
    await settle();
    expect(requests.length).toBe(1);
  });

  test('from one poll to another, and in the middle of a wait', async () => {
    const { fetch, requests } = net(({ url }) => (url.searchParams.get('live') === 'poll' ? json(page([event(1)], 1)) : unreachable()));
    const { rt, numbers } = reader({ transports: ['sse', 'poll'], fetch });
    await settle();
    expect(rt.state).toBe('waiting');
    rt.switch('poll');
    await settle();
    expect(numbers()).toEqual([1]);
    rt.switch('sse');
    await settle();
    expect(requests.at(-1).url.search).toBe(`?offset=${id(1)}&live=sse`);
  });

  test('leaves an old socket its time to answer what was sent over it', async () => {
    const sse = stream();
    const { rt } = await onSocket({ fetch: async () => sse.response });
    const sent = rt.send('hello');
    await settle();
    rt.switch('sse');
    await settle();
    expect(sockets[0].isClosed).toBe(false);
    sockets[0].say({ ref: sockets[0].sent[0].ref, event: '$reply', data: { heard: true } });
    expect(await sent).toEqual({ heard: true });
    expect(sockets[0].isClosed).toBe(true);
  });
});

describe('SSE', () => {
  test('is asked for envelopes; a block without data moves the place', async () => {
    const sse = stream();
    const { fetch, requests } = net(() => sse.response);
    const { rt, events } = reader({ transports: ['sse'], fetch });
    await settle();
    expect(requests[0].headers.get('Accept')).toBe('text/event-stream;data=envelope');
    sse.write('retry: 1\n');
    sse.say(open(0), event(1), event(2, 'some text'), event(3, '12'), event(4, ''));
    sse.write(`:\nid: ${id(9)}\n\n`);
    await settle();
    expect(events.map(({ data }) => data)).toEqual([{ n: 1 }, 'some text', '12', '']);
    expect(rt.lastEventId).toBe(id(9));
  });

  test('answered 204 is over', async () => {
    const { said } = reader({ transports: ['sse'], fetch: async () => status(204) });
    await settle();
    expect(said).toEqual(['connecting sse', 'closed sse', 'end']);
  });

  test('ended with a retry, before it opened, comes back by the same way', async () => {
    const { fetch, requests } = net(() => {
      const sse = stream();
      sse.write('retry: 3000\n');
      sse.say({ event: '$end', data: { reason: 'source', retry: 3_000 } });
      return sse.response;
    });
    const { said } = reader({ transports: ['sse', 'poll'], fetch });
    await pass(9_000);
    expect(requests.length).toBe(4);
    expect(new Set(said)).toEqual(new Set(['connecting sse', 'waiting sse']));
  });
});

describe('polls', () => {
  test('ask again with the place and the tag, at once where there is more', async () => {
    const pages = [
      json(page([event(1)], 1, { upToDate: false }), { headers: { ETag: 'W/"1"' } }),
      json(page([event(2)], 2), { headers: { ETag: 'W/"2"' } }),
      status(304, { ETag: 'W/"2"', 'Stream-Next-Offset': id(2) }),
      json({ ...page([event(9)], 9), gap: { reason: 'trimmed', from: id(2), to: id(8) } }),
      json(page([event(10)], 10, { closed: true })),
    ];
    const { fetch, requests } = net((_, n) => pages[n - 1]);
    const { said } = reader({ transports: ['poll'], fetch, pollMs: 1_000 });
    await settle();
    expect(requests.map(({ url }) => url.search)).toEqual(['?live=poll', `?offset=${id(1)}&live=poll`]);
    await pass(3_000);
    expect(requests[2].headers.get('If-None-Match')).toBe('W/"2"');
    expect(requests[4].headers.get('If-None-Match')).toBe(null);
    expect(said).toEqual(['connecting poll', 'open poll', 'open: fresh', 1, 2, 'live', 'gap: trimmed', 9, 10, 'closed poll', 'end']);
  });

  test('a page that promises more and never moves is no tight loop', async () => {
    const { fetch, requests } = net(() => json(page([], 1, { upToDate: false })));
    reader({ transports: ['poll'], fetch });
    await pass(20_000);
    expect(requests.length).toBeLessThan(13);
  });

  test('pages that promise more, and move the place without an event, are no tight loop', async () => {
    const { fetch, requests } = net((_, n) => (n > 200 ? never() : json(page([], 1 + (n % 2), { upToDate: false }))));
    reader({ transports: ['poll'], fetch });
    await pass(20_000);
    expect(requests.length).toBeLessThan(13);
  });

  test('a long-poll does not wait before its place is known, then it does', async () => {
    const { fetch, requests } = net((_, n) => {
      if (n === 1) return status(204, { 'Stream-Next-Offset': id(7) });
      if (n === 2) return new Promise((done) => setTimeout(() => done(status(204, { 'Stream-Next-Offset': id(7) })), 20_000));
      return never();
    });
    const { rt, said } = reader({ transports: ['long-poll'], fetch });
    await pass(21_000);
    expect(requests.map(({ headers }) => headers.get('Prefer'))).toEqual(['wait=0', 'wait=20', 'wait=20']);
    expect(rt.lastEventId).toBe(id(7));
    expect(said).toEqual(['connecting long-poll', 'open long-poll', 'open: fresh', 'live']);
    await pass(60_000);
    expect(said).toContain('error: silent');
  });

  test.each([
    ['move the place without an event', (n) => status(204, { 'Stream-Next-Offset': id(1 + (n % 2)) })],
    ['tell what was told', (n) => json(page([event(1)], 1 + (n % 2)))],
    ['tell gaps alone', (n) => json({ ...page([], n), gap: { reason: 'trimmed', from: null, to: id(n) } })],
  ])('long-polls that are answered at once and %s are waited between', async (_, answer) => {
    const { fetch, requests } = net((_, n) => (n > 200 ? never() : answer(n)));
    reader({ transports: ['long-poll'], fetch });
    await pass(60_000);
    expect(requests.length).toBeLessThan(50);
  });

  test('long-polls that bring an event each are not waited between', async () => {
    const { fetch, requests } = net((_, n) => (n > 20 ? never() : json(page([event(n)], n))));
    const { numbers } = reader({ transports: ['long-poll'], fetch });
    await settle();
    expect([requests.length, numbers().length]).toEqual([21, 20]);
  });

  test.each([[{ a: 1 }], [7], [''], [null], [undefined]])('a next of %j is no page', async (next) => {
    const { fetch } = net(() => json({ ...page([], 1), next }));
    const { rt, said } = reader({ transports: ['poll'], fetch });
    await settle();
    expect([rt.lastEventId, said.includes('error: foreign')]).toEqual(['', true]);
  });

  test.each([[[null]], [[7]], [{ map: 1 }], [7]])('events of %j are no page', async (events) => {
    const { fetch } = net(() => json(page(events, 1)));
    const { said } = reader({ transports: ['poll'], fetch });
    await settle();
    expect(said.filter((word) => /^error/.test(word))).toEqual(['error: foreign']);
  });

  test('a page without an end is let go of', async () => {
    vi.useRealTimers();
    let sent = 0;
    const piece = new Uint8Array(1 << 20).fill(0x20);
    const body = new ReadableStream({
      pull: (to) => void (to.enqueue(piece), (sent += piece.length), sent > 2 ** 28 && to.close()),
    });
    const { fetch, requests } = net(() => new Response(body));
    const { said } = reader({ transports: ['poll'], fetch });
    await vi.waitFor(() => expect(said).toContain('error: foreign'), { timeout: 20_000 });
    expect(sent).toBeLessThan(2 ** 27);
    expect(requests[0].signal.aborted).toBe(true);
  }, 30_000);

  test('a page that comes slowly is not taken for silence', async () => {
    const slow = stream({});
    const { fetch } = net(() => slow.response);
    const { numbers, said } = reader({ transports: ['poll'], fetch });
    const text = JSON.stringify(page([event(1)], 1));
    for (let at = 0; at < text.length; at += 50) {
      await pass(20_000);
      slow.write(text.slice(at, at + 50));
    }
    slow.end();
    await settle();
    expect([numbers(), said.includes('error: silent')]).toEqual([[1], false]);
  });

  test('a long-poll that is sent away in its wait comes back when it was told', async () => {
    const { fetch, requests } = net((_, n) => {
      if (n !== 2) return n > 3 ? never() : status(204, { 'Stream-Next-Offset': id(7) });
      const drained = status(204, { 'Stream-Next-Offset': id(7), 'Retry-After': '13' });
      return new Promise((done) => setTimeout(() => done(drained), 10_000));
    });
    const { said } = reader({ transports: ['long-poll'], fetch });
    await pass(22_900);
    expect([requests.length, said.at(-1)]).toEqual([2, 'waiting long-poll']);
    await pass(200);
    expect(requests[2].url.searchParams.get('offset')).toBe(id(7));
  });

  test('long-polls that are sent away at once are no tight loop', async () => {
    const { fetch, requests } = net(() => status(204, { 'Stream-Next-Offset': id(7) }));
    reader({ transports: ['long-poll'], fetch });
    await pass(5 * 60_000);
    expect(requests.length).toBeLessThan(40);
  });
});

describe('credentials', () => {
  test('are asked for on every attempt; a 401 asks once more, then stops', async () => {
    const asked = [];
    const { fetch, requests } = net(() => status(401));
    const { rt, said } = reader({
      transports: ['sse', 'poll'],
      credentials: 'include',
      headers: async (about) => (asked.push(about), { Authorization: `Bearer ${asked.length}` }),
      fetch,
    });
    await settle();
    expect(asked).toEqual([{ transport: 'sse', unauthorized: false }, { transport: 'sse', unauthorized: true }]);
    expect(requests.map(({ headers, credentials }) => [headers.get('Authorization'), credentials])).toEqual([['Bearer 1', 'include'], ['Bearer 2', 'include']]);
    expect(said).toEqual(['connecting sse', 'connecting sse', 'error: unauthorized', 'closed sse']);
    expect(rt.state).toBe('closed');
  });

  test('a fresh token is taken, and the URL may be a function', async () => {
    const sse = stream();
    const { fetch, requests } = net((_, n) => (n === 1 ? status(401) : sse.response));
    const { said, rt } = reader({ transports: ['sse'], fetch }, ({ unauthorized }) => `${URL_}?token=${unauthorized ? 'new' : 'old'}#x`);
    await settle();
    sse.say(open(0));
    await settle();
    expect(requests.map(({ url }) => url.search)).toEqual(['?token=old&live=sse', '?token=new&live=sse']);
    expect([said.at(-1), rt.url]).toEqual(['open: fresh', '']);
  });

  test('a function that fails is an attempt that failed', async () => {
    const headers = vi.fn(() => Promise.reject(new Error('no token today')));
    const { said } = reader({ transports: ['poll'], headers });
    await pass(2_500);
    expect(headers).toHaveBeenCalledTimes(2);
    expect(said.slice(0, 3)).toEqual(['connecting poll', 'error: network', 'waiting poll']);
  });
});

describe('closing', () => {
  test('by a signal, before and after', async () => {
    const { said } = reader({ signal: AbortSignal.abort() });
    await settle();
    expect([said, sockets.length]).toEqual([['closed websocket'], 0]);
    const stop = new AbortController();
    const it = await onSocket({ signal: stop.signal });
    stop.abort();
    expect([it.rt.state, sockets[0].isClosed]).toEqual(['closed', true]);
  });

  test('in the middle of a page hears no more of it', async () => {
    const { rt, numbers } = reader({ transports: ['poll'], fetch: async () => json(page([event(1), event(2)], 2)) });
    rt.addEventListener('tick', () => rt.close());
    await pass(10_000);
    expect(numbers()).toEqual([1]);
    expect(rt.lastEventId).toBe(id(1));
  });

  test('while waiting leaves no timer', async () => {
    const { rt } = reader({ transports: ['sse'] });
    await settle();
    expect(rt.state).toBe('waiting');
    rt.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('for await', () => {
  test('has events and gaps in order, and ends with the reader', async () => {
    const { rt } = await onSocket();
    const seen = [];
    const loop = (async () => {
      for await (const { type, data } of rt) seen.push(data?.n ?? type);
      return 'done';
    })();
    await settle();
    sockets[0].say(event(1), gap(1, 4), event(5), end(5, 'closed', false));
    expect(await loop).toBe('done');
    expect(seen).toEqual([1, 'gap', 5]);
  });

  test('throws what stopped the reader', async () => {
    const { rt } = reader({ transports: ['sse'], fetch: async () => status(401) });
    await expect(rt[Symbol.asyncIterator]().next()).rejects.toMatchObject({ kind: 'unauthorized', status: 401 });
  });

  test('that is behind lets go of the connection, and loses nothing', async () => {
    const { rt } = await onSocket({ bufferMax: 4 });
    const events = rt[Symbol.asyncIterator]();
    const first = events.next();
    await settle();
    sockets[0].say(...[1, 2, 3, 4, 5, 6, 7].map((n) => event(n)));
    await settle();
    expect([rt.state, sockets[0].isClosed, rt.lastEventId]).toEqual(['waiting', true, id(4)]);
    const numbers = [(await first).value.data.n];
    await settle();
    expect(sockets.length).toBe(1);
    numbers.push((await events.next()).value.data.n, (await events.next()).value.data.n);
    await settle();
    expect(sockets[1].url.searchParams.get('offset')).toBe(id(4));
    sockets[1].open();
    sockets[1].say(open(4, 'resumed'), event(5));
    numbers.push((await events.next()).value.data.n, (await events.next()).value.data.n);
    expect(numbers).toEqual([1, 2, 3, 4, 5]);
  });

  test('loses no event behind the gap that fills its buffer', async () => {
    const { rt } = await onSocket({ bufferMax: 4 });
    const events = rt[Symbol.asyncIterator]();
    const first = events.next();
    await settle();
    sockets[0].say(event(1), event(2), event(3), gap(3, 8), event(9));
    await settle();
    expect([sockets[0].isClosed, rt.lastEventId]).toEqual([true, id(8)]);
    const seen = [(await first).value];
    for (let n = 1; n < 4; n++) seen.push((await events.next()).value);
    await settle();
    expect(sockets[1].url.searchParams.get('offset')).toBe(id(8));
    sockets[1].open();
    sockets[1].say(open(8, 'resumed'), event(9));
    seen.push((await events.next()).value);
    expect(seen.map(({ data, type }) => data?.n ?? type)).toEqual([1, 2, 3, 'gap', 9]);
  });

  test('loses none of a storm of gaps, and keeps no more than bufferMax', async () => {
    const { rt } = await onSocket({ bufferMax: 4 });
    const events = rt[Symbol.asyncIterator]();
    const first = events.next();
    await settle();
    sockets[0].say(...[...Array(20).keys()].map((n) => gap(n, n + 1)));
    await settle();
    expect(sockets[0].isClosed).toBe(true);
    const told = [(await first).value.to];
    for (let n = 1; n < 4; n++) told.push((await events.next()).value.to);
    expect(told).toEqual([1, 2, 3, 4].map((n) => id(n)));
    expect(rt.lastEventId).toBe(id(4));
  });

  test('loses nothing in a page that has its gap at the brim', async () => {
    const pages = [page([event(1)], 1), { ...page([event(9)], 9), gap: { reason: 'trimmed', from: id(1), to: id(8) } }, page([event(9)], 9)];
    const { fetch, requests } = net((_, n) => (n > 3 ? never() : json(pages[n - 1])));
    const { rt } = reader({ transports: ['poll'], bufferMax: 1, fetch });
    const events = rt[Symbol.asyncIterator]();
    const first = events.next();
    await pass(5_000);
    expect([requests.length, rt.lastEventId]).toEqual([2, id(8)]);
    const seen = [(await first).value, (await events.next()).value, (await events.next()).value];
    expect(seen.map(({ data, type }) => data?.n ?? type)).toEqual([1, 'gap', 9]);
    expect(requests[2].url.searchParams.get('offset')).toBe(id(8));
  });

  test('that is left gives the reader its way again', async () => {
    const { rt } = await onSocket({ bufferMax: 1 });
    for await (const _ of (setTimeout(() => sockets[0].say(event(1)), 10), pass(20), rt)) break;
    await settle();
    expect(sockets.length).toBe(2);
  });
});
