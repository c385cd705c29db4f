import { expect, test } from 'vitest';
import { parseFrame, textOf } from '../../src/transport/realtime/frames.js';

test('a start has its operation as text and its credentials', () => {
  const authorization = { host: 'h', 'x-api-key': 'k' };
  const text = textOf({ type: 'start', id: 's', operation: '{"query":"q"}', authorization });
  expect(JSON.parse(text)).toEqual({
    id: 's',
    type: 'start',
    payload: { data: '{"query":"q"}', extensions: { authorization } },
  });
});

test('other frames of the client have only their type and id', () => {
  expect(textOf({ type: 'connection_init' })).toBe('{"type":"connection_init"}');
  expect(textOf({ type: 'stop', id: 's' })).toBe('{"type":"stop","id":"s"}');
});

test.each([
  [
    '{"type":"connection_ack","payload":{"connectionTimeoutMs":1000}}',
    { type: 'connection_ack', timeout: 1_000 },
  ],
  ['{"type":"connection_ack"}', { type: 'connection_ack', timeout: 300_000 }],
  ['{"type":"start_ack","id":"s"}', { type: 'start_ack', id: 's' }],
  ['{"type":"start_ack","id":"s","payload":{}}', { type: 'start_ack', id: 's' }],
  ['{"type":"complete","id":"s"}', { type: 'complete', id: 's' }],
  ['{"type":"data","id":"s","payload":{"data":{"f":1}}}', { type: 'data', id: 's', data: { f: 1 } }],
  ['{"type":"ka"}', { type: 'other' }],
  ['{"type":"later"}', { type: 'other' }],
  ['not json', { type: 'other' }],
  ['[]', { type: 'other' }],
  ['null', { type: 'other' }],
])('%s is parsed', (text, frame) => {
  expect(parseFrame(text)).toEqual(frame);
});

test('a binary message is no frame', () => {
  expect(parseFrame(new ArrayBuffer(2))).toEqual({ type: 'other' });
});

test.each([
  [{ errorType: 'UnauthorizedException', errorCode: 401 }, true],
  [{ errorType: 'BadRequestException', message: 'The request signature …' }, true],
  [{ message: 'Required headers are missing.', errorCode: 400 }, true],
  [{ errorType: 'InternalFailure', errorCode: 500 }, false],
  [{ message: 'NoProtocolError' }, false],
])('connection_error %j is final: %s', (error, isFinal) => {
  const text = JSON.stringify({ type: 'connection_error', payload: { errors: [error] } });
  expect(parseFrame(text)).toMatchObject({ type: 'connection_error', isFinal });
});

test('an error without an id has an empty one', () => {
  const text = '{"type":"error","payload":{"errors":[{"errorType":"Unauthorized","message":"no"}]}}';
  expect(parseFrame(text)).toMatchObject({
    type: 'error',
    id: '',
    error: { code: 'Unauthorized', message: 'no' },
  });
});
