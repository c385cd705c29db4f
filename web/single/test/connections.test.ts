import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Connection } from '../src/entry/connection.js';
import { eventsEntry } from '../src/entry/eventsEntry.js';
import { webSocketEntry } from '../src/entry/webSocketEntry.js';
import { FakeWebSocket } from './fakeWebSocket.js';

const MESSAGE = { action: 'send', id: 'm-1', text: 'Hi', stream: true } as const;

let log: unknown[];
const observer = {
  onOpen: () => log.push('open'),
  onMessage: (message: unknown) => log.push(message),
  onClose: (reason: string | undefined) => log.push(['close', reason]),
};

beforeEach(() => {
  log = [];
  FakeWebSocket.opened = [];
  vi.stubGlobal('WebSocket', FakeWebSocket);
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('WebSocket API', () => {
  let connection: Connection;

  beforeEach(() => {
    connection = webSocketEntry('wss://api.example.com/prod', 'da2-key')(observer);
  });

  test('has the credential among its subprotocols and not in its URL', () => {
    expect(FakeWebSocket.last.url).toBe('wss://api.example.com/prod');
    expect(FakeWebSocket.last.protocols).toEqual(['parlance', 'da2-key']);
  });

  test('sends and receives messages', () => {
    FakeWebSocket.last.open();
    connection.send(MESSAGE);
    FakeWebSocket.last.receive({ type: 'accepted' });
    FakeWebSocket.last.receive('no JSON');
    expect(FakeWebSocket.last.sent).toEqual([MESSAGE]);
    expect(log).toEqual(['open', { type: 'accepted' }, undefined]);
  });

  test('asks every five minutes whether the other end is there', () => {
    FakeWebSocket.last.open();
    vi.advanceTimersByTime(300_000);
    expect(FakeWebSocket.last.sent).toEqual([{ action: 'ping' }]);
    FakeWebSocket.last.receive({ type: 'pong' });
    vi.advanceTimersByTime(299_999);
    expect(log).toEqual(['open', { type: 'pong' }]);
    vi.advanceTimersByTime(1 + 15_000);
    expect(log.at(-1)).toEqual(['close', undefined]);
    expect(FakeWebSocket.last.isClosed).toBe(true);
  });

  test('that does not open in time is given up, and tells it once', () => {
    vi.advanceTimersByTime(15_000);
    FakeWebSocket.last.drop();
    FakeWebSocket.last.open();
    expect(log).toEqual([['close', undefined]]);
  });

  test('that is closed tells nothing', () => {
    FakeWebSocket.last.open();
    connection.close();
    FakeWebSocket.last.receive({ type: 'accepted' });
    FakeWebSocket.last.drop();
    vi.advanceTimersByTime(1_000_000);
    expect(log).toEqual(['open']);
    expect(FakeWebSocket.last.sent).toEqual([]);
  });
});

describe('AppSync Events', () => {
  const authorization = { host: 'abc.appsync-api.us-east-1.amazonaws.com', 'x-api-key': 'da2-key' };
  let connection: Connection;

  function connect(credential = 'da2-key'): void {
    connection = eventsEntry({
      url: 'https://abc.appsync-api.us-east-1.amazonaws.com/event',
      credential,
      channels: { request: '/chat/request/a', responses: '/chat/responses/a' },
    })(observer);
  }

  function open(): void {
    connect();
    FakeWebSocket.last.open();
    FakeWebSocket.last.receive({ type: 'connection_ack', connectionTimeoutMs: 300_000 });
    FakeWebSocket.last.receive({ type: 'subscribe_success', id: 'responses' });
  }

  test('has the credential in the header subprotocol', () => {
    connect();
    const { url, protocols } = FakeWebSocket.last;
    expect(url).toBe('wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/event/realtime');
    expect(protocols[0]).toBe('aws-appsync-event-ws');
    const header = Buffer.from(protocols[1]?.replace('header-', '') ?? '', 'base64url').toString();
    expect(JSON.parse(header)).toEqual(authorization);
    expect(protocols[1]).toMatch(/^[\w-]+$/);
  });

  test('is open once it listens to the answers', () => {
    connect();
    FakeWebSocket.last.open();
    FakeWebSocket.last.receive({ type: 'connection_ack', connectionTimeoutMs: 300_000 });
    expect(log).toEqual([]);
    expect(FakeWebSocket.last.sent).toEqual([
      { type: 'connection_init' },
      { type: 'subscribe', id: 'responses', channel: '/chat/responses/a', authorization },
    ]);
    FakeWebSocket.last.receive({ type: 'subscribe_success', id: 'responses' });
    expect(log).toEqual(['open']);
  });

  test('publishes messages and receives events', () => {
    open();
    connection.send(MESSAGE);
    expect(FakeWebSocket.last.sent.at(-1)).toEqual({
      type: 'publish',
      id: 'm-1',
      channel: '/chat/request/a',
      events: [JSON.stringify(MESSAGE)],
      authorization,
    });
    FakeWebSocket.last.receive({
      type: 'publish_success',
      id: 'm-1',
      successful: [{ index: 0 }],
      failed: [],
    });
    FakeWebSocket.last.receive({ type: 'data', id: 'responses', event: '{"type":"accepted"}' });
    FakeWebSocket.last.receive({ type: 'ka' });
    expect(log).toEqual(['open', { type: 'accepted' }]);
  });

  test('a refused publish is an error of its message', () => {
    open();
    const failed = [{ index: 0, message: 'The message has no text.' }];
    FakeWebSocket.last.receive({ type: 'publish_success', id: 'm-1', successful: [], failed });
    const errors = [{ errorType: 'UnauthorizedException', message: 'You are not authorized.' }];
    FakeWebSocket.last.receive({ type: 'publish_error', id: 'm-2', errors });
    FakeWebSocket.last.receive({ type: 'publish_error', id: 'm-3' });
    expect(log.slice(1)).toEqual([
      { type: 'error', id: 'm-1', code: 'InvalidInput', message: 'The message has no text.' },
      { type: 'error', id: 'm-2', code: 'UnauthorizedException', message: 'You are not authorized.' },
      { type: 'error', id: 'm-3', code: 'Unavailable', message: undefined },
    ]);
  });

  test.each(['connection_error', 'subscribe_error'])('%s ends it with a reason', (type) => {
    connect();
    FakeWebSocket.last.open();
    FakeWebSocket.last.receive({ type, errors: [{ errorType: 'UnauthorizedException', message: 'No.' }] });
    FakeWebSocket.last.drop();
    expect(log).toEqual([['close', 'No.']]);
    expect(FakeWebSocket.last.isClosed).toBe(true);
  });

  test('ends without a keep-alive in the time that AppSync has named', () => {
    open();
    vi.advanceTimersByTime(299_000);
    FakeWebSocket.last.receive({ type: 'ka' });
    vi.advanceTimersByTime(299_999);
    expect(log).toEqual(['open']);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['open', ['close', undefined]]);
  });

  test('a token is an authorization', () => {
    connect('e30.e30.c2ln');
    const header = Buffer.from(FakeWebSocket.last.protocols[1]?.slice(7) ?? '', 'base64url').toString();
    expect(JSON.parse(header)).toEqual({ host: authorization.host, Authorization: 'e30.e30.c2ln' });
  });
});
