import { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Transport } from '../../src/index.js';
import { httpTransport, type ClientOptions } from '../../src/transport/httpTransport.js';
import { acknowledge, RealtimeServer } from '../support/realtimeServer.js';
import { Recorder } from '../support/recorder.js';
import { until } from '../support/until.js';

let server: RealtimeServer;
let transports: Transport[] = [];

beforeEach(async () => {
  server = await RealtimeServer.start();
});
afterEach(async () => {
  for (const transport of transports) transport.close();
  transports = [];
  vi.unstubAllGlobals();
  await server.close();
});

function connect(options: Partial<ClientOptions> = {}): Transport {
  const transport = httpTransport({
    url: server.url,
    credentials: { mode: 'API_KEY', apiKey: 'da2-x' },
    WebSocket,
    random: () => 0,
    ...options,
  });
  transports.push(transport);
  return transport;
}

/** A subscription that is acknowledged. */
async function follow(transport: Transport, recorder = new Recorder()): Promise<Recorder> {
  transport.subscribe('subscription S { s }', {}, recorder);
  await until(() => recorder.count('subscribed') === 1);
  return recorder;
}

test('a subscription goes from its state to its updates', async () => {
  const recorder = new Recorder();
  const subscription = connect().subscribe('subscription S { s }', { id: 'x' }, recorder);
  expect(recorder.calls).toEqual([]);
  await until(() => recorder.count('subscribed') === 1);
  server.update('1', { s: 1 });
  await until(() => recorder.data.length === 1);
  expect(recorder.calls).toEqual(['CONNECTING', 'CONNECTED', 'subscribed', 'data']);
  expect(recorder.data).toEqual([{ s: 1 }]);
  subscription.unsubscribe();
  await until(() => server.frames.length === 3);
  const operation = JSON.stringify({ query: 'subscription S { s }', variables: { id: 'x' } });
  const { host } = new URL(server.url);
  const authorization = { host, 'x-api-key': 'da2-x' };
  expect(server.frames).toEqual([
    { type: 'connection_init' },
    { type: 'start', id: '1', payload: { data: operation, extensions: { authorization } } },
    { type: 'stop', id: '1' },
  ]);
});

test('credentials are in a sub-protocol', async () => {
  const token = 'a token with ÿ, ~~~ and ???';
  await follow(connect({ credentials: { mode: 'OIDC', token: () => token } }));
  const [protocol, header = ''] = server.protocols[0] ?? [];
  expect(protocol).toBe('graphql-ws');
  expect(header).toMatch(/^header-[A-Za-z0-9_-]+$/);
  const text = Buffer.from(header.slice('header-'.length), 'base64url').toString();
  expect(JSON.parse(text)).toEqual({ host: new URL(server.url).host, Authorization: token });
});

test('subscriptions share a connection, and get only their own updates', async () => {
  const transport = connect();
  const [one, other] = [await follow(transport), await follow(transport)];
  server.update('2', { s: 2 });
  await until(() => other.data.length === 1);
  expect(one.data).toEqual([]);
  expect(other.calls).toEqual(['CONNECTED', 'subscribed', 'data']);
  expect(server.sockets).toHaveLength(1);
});

test('after a loss each subscription is acknowledged again, with fresh credentials', async () => {
  let tokens = 0;
  const token = () => `jwt${++tokens}`;
  const recorder = await follow(connect({ credentials: { mode: 'USER_POOL', token } }));
  server.sockets[0]?.terminate();
  await until(() => recorder.count('subscribed') === 2);
  expect(recorder.calls).toEqual([
    ...['CONNECTING', 'CONNECTED', 'subscribed'],
    ...['WAITING_TO_RECONNECT', 'CONNECTING', 'CONNECTED', 'subscribed'],
  ]);
  expect(tokens).toBe(4);
});

test('tries go on while the server is away', async () => {
  const recorder = await follow(connect());
  await server.close();
  await until(() => recorder.count('WAITING_TO_RECONNECT') >= 3);
  expect(recorder.count('subscribed')).toBe(1);
});

test('a refused subscription ends, and others go on', async () => {
  server.answer = (frame) =>
    frame.type === 'start' && frame.id === '1'
      ? { type: 'error', id: '1', payload: { errors: [{ errorType: 'Unauthorized', message: 'No.' }] } }
      : acknowledge(frame);
  const refused = new Recorder();
  const transport = connect();
  transport.subscribe('subscription S { s }', {}, refused);
  const other = await follow(transport);
  expect(refused.calls).toEqual(['CONNECTING', 'CONNECTED', 'error Unauthorized']);
  server.sockets[0]?.terminate();
  await until(() => other.count('subscribed') === 2);
  expect(refused.calls).toHaveLength(3);
});

test('refused credentials end all subscriptions, and a later one tries again', async () => {
  const errors = [{ errorType: 'UnauthorizedException', message: 'No.', errorCode: 401 }];
  server.answer = () => ({ type: 'connection_error', payload: { errors } });
  const [one, other] = [new Recorder(), new Recorder()];
  const transport = connect();
  transport.subscribe('subscription S { s }', {}, one);
  transport.subscribe('subscription S { s }', {}, other);
  await until(() => other.count('error UNAUTHORIZED') === 1);
  expect(one.calls).toEqual(['CONNECTING', 'CLOSED', 'error UNAUTHORIZED']);
  server.answer = acknowledge;
  await follow(transport);
});

test('credentials that fail end the subscription', async () => {
  const recorder = new Recorder();
  const token = () => Promise.reject(new Error('signed out'));
  connect({ credentials: { mode: 'OIDC', token } }).subscribe('subscription S { s }', {}, recorder);
  await until(() => recorder.count('error CREDENTIALS') === 1);
  expect(server.sockets).toEqual([]);
});

test('a socket that cannot be made ends the subscription', async () => {
  const recorder = new Recorder();
  connect({ realtimeUrl: 'nonsense' }).subscribe('subscription S { s }', {}, recorder);
  await until(() => recorder.count('error NETWORK') === 1);
  expect(recorder.calls).toEqual(['CONNECTING', 'CLOSED', 'error NETWORK']);
});

test('an environment without WebSocket is an error', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const recorder = new Recorder();
  httpTransport({ url: server.url, credentials: { mode: 'API_KEY', apiKey: 'k' } }).subscribe(
    's',
    {},
    recorder,
  );
  await until(() => recorder.count('error NETWORK') === 1);
});

test('nothing follows an unsubscription, also one within a call', async () => {
  const recorder = new Recorder();
  const transport = connect();
  const subscription = transport.subscribe(
    'subscription S { s }',
    {},
    {
      onSubscribed: () => {
        recorder.onSubscribed();
        subscription.unsubscribe();
      },
      onData: (data) => {
        recorder.onData(data);
      },
      onState: () => undefined,
      onError: () => undefined,
    },
  );
  await until(() => server.frames.some(({ type }) => type === 'stop'));
  server.update('1', { s: 1 });
  await follow(transport);
  expect(recorder.calls).toEqual(['subscribed']);
});

test('an unsubscription at once opens no connection', async () => {
  const recorder = new Recorder();
  const transport = connect();
  transport.subscribe('subscription S { s }', {}, recorder).unsubscribe();
  await follow(transport);
  expect(recorder.calls).toEqual([]);
  expect(server.started).toEqual(['2']);
});

test('a subscription made within a call is started', async () => {
  const transport = connect();
  const [first, second] = [new Recorder(), new Recorder()];
  first.onSubscribed = () => {
    transport.subscribe('subscription S { s }', {}, second);
  };
  transport.subscribe('subscription S { s }', {}, first);
  await until(() => second.count('subscribed') === 1);
  expect(server.started).toEqual(['1', '2']);
});

test('an error of an observer is reported and harms no other subscription', async () => {
  const transport = connect();
  const broken = new Recorder();
  broken.onData = () => {
    throw new Error('of the page');
  };
  await follow(transport, broken);
  const other = await follow(transport);
  const reported = new Promise((resolve) => {
    vi.stubGlobal('queueMicrotask', (report: () => void) => {
      try {
        report();
      } catch (error) {
        resolve(error);
      }
    });
  });
  server.update('1', { s: 1 });
  server.update('2', { s: 2 });
  await until(() => other.data.length === 1);
  expect(await reported).toEqual(new Error('of the page'));
});

test('closing ends the connection and refuses later subscriptions', async () => {
  const transport = connect();
  const recorder = await follow(transport);
  transport.close();
  await until(() => server.open === 0);
  const later = new Recorder();
  transport.subscribe('subscription S { s }', {}, later);
  await until(() => later.calls.length === 2);
  expect(later.calls).toEqual(['CLOSED', 'error CLOSED']);
  expect(recorder.calls).toEqual(['CONNECTING', 'CONNECTED', 'subscribed']);
});

test('the system clock may be set back', async () => {
  let offset = 0;
  const recorder = await follow(connect({ now: () => Date.now() - offset }));
  offset = 3_600_000;
  server.sockets[0]?.terminate();
  await until(() => recorder.count('subscribed') === 2);
});

test('the network of the browser is watched while there is a subscription', async () => {
  const browser = new EventTarget();
  const network = { onLine: true };
  vi.stubGlobal('navigator', network);
  vi.stubGlobal('addEventListener', browser.addEventListener.bind(browser));
  vi.stubGlobal('removeEventListener', browser.removeEventListener.bind(browser));
  const setOnline = (isOnline: boolean) => {
    network.onLine = isOnline;
    browser.dispatchEvent(new Event(isOnline ? 'online' : 'offline'));
  };
  // No try succeeds by itself in the time of this test.
  const transport = connect({ random: () => 1 });
  const recorder = await follow(transport);
  setOnline(false);
  expect(recorder.calls.at(-1)).toBe('OFFLINE');
  await until(() => server.open === 0);
  setOnline(true);
  expect(recorder.calls.at(-1)).toBe('CONNECTING');
  await until(() => recorder.count('subscribed') === 2);
  transport.close();
  setOnline(false);
  expect(recorder.calls.at(-1)).toBe('subscribed');
});
