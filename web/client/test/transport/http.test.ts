import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { httpTransport, type ClientOptions } from '../../src/transport/httpTransport.js';

const QUERY = 'query Q { q }';
const MUTATION = 'mutation M { m }';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A transport whose fetch gives this answer. */
function setUp(answer: () => Promise<Response>, options: Partial<ClientOptions> = {}) {
  const requests: { url: string; init: RequestInit }[] = [];
  const transport = httpTransport({
    url: 'http://localhost:4000/graphql',
    credentials: { mode: 'API_KEY', apiKey: 'da2-x' },
    fetch: (url, init = {}) => {
      requests.push({ url: url as string, init });
      return answer();
    },
    ...options,
  });
  return { transport, requests };
}

const json =
  (body: unknown, status = 200) =>
  () =>
    Promise.resolve(Response.json(body, { status }));
const failed = () => Promise.reject(new TypeError('fetch failed'));
/** Like fetch, settles only when it is aborted. */
const silent = () => new Promise<Response>(() => undefined);
const errors = (errorType: string) => ({ data: { q: null }, errors: [{ errorType, message: 'A reason.' }] });

/** How a promise settles, with all timers run. */
async function settled(promise: Promise<unknown>): Promise<unknown> {
  const result = promise.catch((error: unknown) => error);
  await vi.runAllTimersAsync();
  return result;
}

test('a request is a POST of the document and its variables, without cookies', async () => {
  const { transport, requests } = setUp(json({ data: { q: 1 } }));
  const variables = { id: 'x', left: undefined };
  expect(await transport.request(QUERY, variables)).toEqual({ q: 1 });
  expect(requests).toHaveLength(1);
  expect(requests[0]?.url).toBe('http://localhost:4000/graphql');
  expect(requests[0]?.init).toMatchObject({
    method: 'POST',
    credentials: 'omit',
    headers: { 'content-type': 'application/json', 'x-api-key': 'da2-x' },
    body: '{"query":"query Q { q }","variables":{"id":"x"}}',
  });
});

test('any error fails the request, also where there is data', async () => {
  const { transport } = setUp(
    json({ data: { q: 1 }, errors: [{ errorType: 'NotFound', message: 'None.' }] }),
  );
  const error = await settled(transport.request(QUERY, {}));
  expect(error).toMatchObject({ code: 'NotFound', message: 'None.', retryable: false });
});

test.each([
  [
    'an HTTP error',
    json({ errors: [{ errorType: 'UnauthorizedException', message: 'No.' }] }, 401),
    'UNAUTHORIZED',
  ],
  ['an HTTP error without JSON', () => Promise.resolve(new Response('<p>', { status: 502 })), 'UNAVAILABLE'],
  ['no JSON', () => Promise.resolve(new Response('<html>')), 'BAD_RESPONSE'],
  ['JSON without data', json({ hello: 1 }), 'BAD_RESPONSE'],
  ['a failed fetch', failed, 'NETWORK'],
  ['a throttled API', json(errors('ThrottlingException')), 'UNAVAILABLE'],
])('%s', async (_, answer, code) => {
  const { transport } = setUp(answer);
  expect(await settled(transport.request(QUERY, {}))).toMatchObject({ code });
});

test.each([QUERY, MUTATION])('%s is sent once', async (document) => {
  const { transport, requests } = setUp(failed);
  expect(await settled(transport.request(document, {}))).toMatchObject({ code: 'NETWORK', retryable: true });
  expect(requests).toHaveLength(1);
});

test('a request ends after 35 seconds', async () => {
  const { transport, requests } = setUp(silent);
  const response = transport.request(QUERY, {}).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(34_999);
  expect(requests[0]?.init.signal?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(requests[0]?.init.signal?.aborted).toBe(true);
  expect(await response).toMatchObject({ code: 'TIMEOUT', retryable: true });
  expect(requests).toHaveLength(1);
});

test('a token that does not come ends the request', async () => {
  const token = () => new Promise<string>(() => undefined);
  const { transport, requests } = setUp(failed, { credentials: { mode: 'OIDC', token } });
  expect(await settled(transport.request(QUERY, {}))).toMatchObject({ code: 'TIMEOUT' });
  expect(requests).toEqual([]);
});

test('credentials that fail fail the request', async () => {
  const token = () => Promise.reject(new Error('signed out'));
  const { transport } = setUp(failed, { credentials: { mode: 'OIDC', token } });
  expect(await settled(transport.request(QUERY, {}))).toMatchObject({ code: 'CREDENTIALS' });
});

test.each([
  ['before it', 0],
  ['during it', 1],
])('a signal ends the request %s', async (_, delay) => {
  const { transport } = setUp(silent);
  const controller = new AbortController();
  if (delay === 0) controller.abort();
  const response = transport.request(QUERY, {}, controller.signal).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(delay);
  controller.abort();
  expect(await response).toMatchObject({ code: 'ABORTED', retryable: false });
});

test('closing ends running requests and refuses later ones', async () => {
  const { transport } = setUp(silent);
  const running = transport.request(QUERY, {}).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(1);
  transport.close();
  expect(await running).toMatchObject({ code: 'CLOSED' });
  expect(await settled(transport.request(QUERY, {}))).toMatchObject({ code: 'CLOSED' });
});

test('closing leaves no timer', async () => {
  const { transport } = setUp(silent);
  const running = transport.request(QUERY, {}).catch((error: unknown) => error);
  transport.close();
  await running;
  expect(vi.getTimerCount()).toBe(0);
});
