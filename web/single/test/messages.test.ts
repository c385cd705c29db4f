import { describe, expect, test } from 'vitest';
import { channelsOf } from '../src/entry/channel.js';
import { eventsRealtimeUrl } from '../src/entry/eventsEntry.js';
import { parseMessage, type IncomingMessage } from '../src/entry/messages.js';
import { PartJoiner } from '../src/entry/parts.js';
import { reconnectDelay } from '../src/entry/session.js';

describe('messages', () => {
  test('of both entry points name the conversation', () => {
    const name = { conversationId: 'c', turnId: 't' };
    const answer = { type: 'answer', id: 'i', turnId: 't', status: 'COMPLETED' };
    expect(parseMessage({ ...answer, conversationId: 'c', message: 'Hi' })).toEqual({
      type: 'answer',
      id: 'i',
      ...name,
    });
    expect(parseMessage({ ...answer, sessionId: 'c', result: { text: 'Hi' } })).toEqual({
      type: 'answer',
      id: 'i',
      ...name,
    });
    expect(parseMessage({ type: 'accepted', ...name })).toEqual({ type: 'accepted', id: undefined, ...name });
  });

  test('errors have a code and a sentence', () => {
    expect(parseMessage({ type: 'error', id: 'i', code: 'Conflict', message: 'A turn is running.' })).toEqual(
      {
        type: 'error',
        id: 'i',
        error: { code: 'Conflict', message: 'A turn is running.' },
      },
    );
    expect(parseMessage({ type: 'error' })).toMatchObject({ error: { message: 'The message was refused.' } });
  });

  test('that are not known are left out', () => {
    const others = [undefined, null, 'a', 1, [], {}, { type: 'pong' }, { type: 'history' }, { type: 'new' }];
    const incomplete = [
      { type: 'answer' },
      { type: 'turn' },
      { type: 'part', id: 'i', part: '1', parts: 1, data: '' },
    ];
    for (const message of [...others, ...incomplete]) expect(parseMessage(message)).toBeUndefined();
  });
});

describe('parts', () => {
  const part = (id: string, number: number, parts: number, data: string) => {
    const message = parseMessage({ type: 'part', id, part: number, parts, data });
    return message as Extract<IncomingMessage, { type: 'part' }>;
  };

  test('are joined in any order, each message by itself', () => {
    const joiner = new PartJoiner();
    expect(joiner.add(part('a', 2, 3, 'ype":'))).toBeUndefined();
    expect(joiner.add(part('b', 1, 2, '[1'))).toBeUndefined();
    expect(joiner.add(part('a', 3, 3, '"turn"}'))).toBeUndefined();
    expect(joiner.add(part('a', 1, 3, '{"t'))).toEqual({ type: 'turn' });
    expect(joiner.add(part('b', 2, 2, ',2]'))).toEqual([1, 2]);
  });

  test('that come twice or are not JSON do no harm', () => {
    const joiner = new PartJoiner();
    joiner.add(part('a', 1, 2, '[1'));
    joiner.add(part('a', 1, 2, '[1'));
    expect(joiner.add(part('a', 2, 2, ']'))).toEqual([1]);
    expect(joiner.add(part('a', 1, 1, '{'))).toBeUndefined();
    for (const [number, parts] of [
      [0, 2],
      [3, 2],
      [1.5, 2],
      [1, 100_000],
    ] as const) {
      expect(joiner.add(part('b', number, parts, '1'))).toBeUndefined();
    }
  });

  test('of many messages push out the oldest, and a lost connection all', () => {
    const joiner = new PartJoiner();
    for (let index = 0; index < 9; index += 1) joiner.add(part(`m${index}`, 1, 2, `[${index}`));
    expect(joiner.add(part('m0', 2, 2, ']'))).toBeUndefined();
    expect(joiner.add(part('m8', 2, 2, ']'))).toEqual([8]);
    joiner.clear();
    expect(joiner.add(part('m7', 2, 2, ']'))).toBeUndefined();
  });
});

describe('channels', () => {
  const secret = '7c9e6679-7425-40de-944b-e07fc1f90ae7';
  const token = (claims: object): string =>
    `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  const responses = (claims: object): string => channelsOf(token(claims), secret).responses;

  test('of the API key have a secret', () => {
    expect(channelsOf('da2-abc', secret)).toEqual({
      request: `/chat/request/api-key/${secret}`,
      responses: `/chat/responses/api-key/${secret}`,
    });
  });

  test('of users have the subject', () => {
    expect(responses({ sub: 'a-1', token_use: 'access' })).toBe('/chat/responses/a-1');
    expect(responses({ sub: 'ada' })).toBe('/chat/responses/oidc/ada');
  });

  // The first is of docs/events.md; entry/events.yaml encodes the rest in the same way.
  test('of other subjects are encoded', () => {
    const cases = {
      'auth0|5f7c': 'x-auth0-7C5f7c',
      'x-1': 'x-x-2D1',
      'a.b_c*d-e': 'x-a-2Eb-5Fc-2Ad-2De',
      '-a': 'x--2Da',
      'ä b': 'x--C3-A4-20b',
      "~!'()": 'x--7E-21-27-28-29',
    };
    for (const [sub, segment] of Object.entries(cases)) {
      expect(responses({ sub })).toBe(`/chat/responses/oidc/${segment}`);
    }
  });

  test('are of nobody without a credential', () => {
    for (const credential of ['', 'abc', 'a.b.c', token({})]) {
      expect(() => channelsOf(credential, secret)).toThrow();
    }
  });
});

test('realtime of AppSync is on a host of its own', () => {
  expect(eventsRealtimeUrl('https://abc.appsync-api.us-east-1.amazonaws.com/event')).toBe(
    'wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/event/realtime',
  );
  expect(eventsRealtimeUrl('http://localhost:4000/event')).toBe('ws://localhost:4000/event/realtime');
  expect(eventsRealtimeUrl('https://events.example.com/event')).toBe(
    'wss://events.example.com/event/realtime',
  );
});

test('the wait before a new connection doubles up to 30 seconds', () => {
  const delays = [1, 2, 3, 5, 6, 100].map((failures) => reconnectDelay(failures, 1));
  expect(delays).toEqual([1000, 2000, 4000, 16_000, 30_000, 30_000]);
  expect(reconnectDelay(3, 0.5)).toBe(2000);
});
