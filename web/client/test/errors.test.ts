import { expect, test } from 'vitest';
import { ParlanceError, errorOfResponse } from '../src/errors.js';

test.each([
  ['NotFound', 'NotFound', false],
  ['ConversationBusy', 'ConversationBusy', false],
  ['QuotaExceeded', 'QuotaExceeded', false],
  ['TryAgain', 'TryAgain', true],
  ['ExecutionTimeout', 'ExecutionTimeout', true],
  ['UnauthorizedException', 'UNAUTHORIZED', false],
  ['Unauthorized', 'Unauthorized', false],
  ['Lambda:Unhandled', 'OTHER', false],
  [undefined, 'OTHER', false],
])('error type %s is the code %s', (errorType, code, retryable) => {
  const error = errorOfResponse([{ errorType, message: 'A reason.' }]);
  expect(error).toMatchObject({ code, retryable, message: 'A reason.', errorType });
});

test.each([
  'InternalFailure',
  'InternalServerError',
  'LimitExceededError',
  'LimitExceededException',
  'RequestTimeout',
  'RequestTimeoutException',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'ThrottlingException',
  'TooManyRequests',
  'TooManyRequestsException',
])('%s of AppSync is UNAVAILABLE', (errorType) => {
  expect(errorOfResponse([{ errorType }])).toMatchObject({ code: 'UNAVAILABLE', retryable: true, errorType });
});

test.each([
  [401, 'UNAUTHORIZED'],
  [403, 'UNAUTHORIZED'],
  [400, 'OTHER'],
  [408, 'UNAVAILABLE'],
  [429, 'UNAVAILABLE'],
  [500, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
])('HTTP status %d without errors is the code %s', (status, code) => {
  const error = errorOfResponse(undefined, status);
  expect(error.code).toBe(code);
  expect(error.message).toContain(String(status));
});

test('the first error that a repetition does not cure counts', () => {
  const errors = [{ errorType: 'TryAgain' }, { errorType: 'NotFound' }, { errorType: 'InvalidInput' }];
  expect(errorOfResponse(errors).code).toBe('NotFound');
});

test('an errorType says more than a status', () => {
  expect(errorOfResponse([{ errorType: 'UnauthorizedException' }], 500).code).toBe('UNAUTHORIZED');
});

test('the realtime protocol has an errorCode, and for some limits one error instead of a list', () => {
  expect(errorOfResponse({ message: 'No.', errorCode: 401 })).toMatchObject({
    code: 'UNAUTHORIZED',
    message: 'No.',
  });
});

test('errorInfo is kept', () => {
  const errors = [{ errorType: 'QuotaExceeded', errorInfo: { retryAt: '2026-11-27T00:00:00Z' } }];
  expect(errorOfResponse(errors).info).toEqual({ retryAt: '2026-11-27T00:00:00Z' });
});

test.each([[null], [[]], [['text']], [[null]]])('errors that are %j have a sentence for people', (errors) => {
  const error = errorOfResponse(errors);
  expect(error).toBeInstanceOf(ParlanceError);
  expect(error.message).toMatch(/^The API .*\.$/);
});
