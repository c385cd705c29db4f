import { beforeEach, expect, test, vi } from 'vitest';
import { amplifyTransport } from '../src/amplify/index.js';
import type { Transport } from '../src/index.js';
import { Recorder } from './support/recorder.js';

type HubListener = (capsule: { payload: { event: string; data?: unknown } }) => void;
interface AmplifyObserver {
  next: (message: unknown) => void;
  error: (error: unknown) => void;
}

const graphql = vi.fn<(options: { query: string; variables: unknown }) => unknown>();
const cancel = vi.fn<(request: Promise<unknown>) => boolean>();
const unsubscribe = vi.fn();
let listeners: Set<HubListener>;
let observers: AmplifyObserver[];
let transport: Transport;

beforeEach(() => {
  vi.resetAllMocks();
  listeners = new Set();
  observers = [];
  const amplifyHub = {
    listen(_channel: 'api', listener: HubListener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
  transport = amplifyTransport({ graphql, cancel }, amplifyHub);
});

function tellHub(event: string, data: unknown): void {
  for (const listener of listeners) listener({ payload: { event, data } });
}

/** Follows with an observer that Amplify has accepted. */
function follow(variables = { id: 'x' }) {
  graphql.mockReturnValue({
    subscribe(observer: AmplifyObserver) {
      observers.push(observer);
      return { unsubscribe };
    },
  });
  const recorder = new Recorder();
  const subscription = transport.subscribe('subscription S { s }', variables, recorder);
  return { recorder, subscription };
}

test('a request is passed on, and its data returned', async () => {
  graphql.mockResolvedValue({ data: { q: 1 } });
  expect(await transport.request('query Q { q }', { id: 'x' })).toEqual({ q: 1 });
  expect(graphql).toHaveBeenCalledWith({ query: 'query Q { q }', variables: { id: 'x' } });
});

const original = (name: string) => ({
  message: 'A text.',
  originalError: Object.assign(new Error(name), { name }),
});

test.each([
  [{ errors: [{ errorType: 'NotFound', message: 'None.' }] }, 'NotFound'],
  [{ errors: [{ errorType: 'TryAgain' }, { errorType: 'Unauthorized' }] }, 'Unauthorized'],
  [{ errors: [original('NetworkError')] }, 'NETWORK'],
  [{ errors: [original('UnauthorizedException')] }, 'UNAUTHORIZED'],
  [{ errors: [original('SomethingElse')] }, 'OTHER'],
  [{ errors: [{ message: 'Validation error of type FieldUndefined' }] }, 'OTHER'],
  [new Error('of Amplify'), 'OTHER'],
])('%j is the code %s', async (thrown, code) => {
  graphql.mockRejectedValue(thrown);
  await expect(transport.request('query Q { q }', {})).rejects.toMatchObject({ code });
});

test('errorInfo is kept', async () => {
  graphql.mockRejectedValue({ errors: [{ errorType: 'InvalidInput', errorInfo: { field: 'text' } }] });
  await expect(transport.request('query Q { q }', {})).rejects.toMatchObject({ info: { field: 'text' } });
});

test('a signal cancels the request at Amplify', async () => {
  let reject: (error: Error) => void = () => undefined;
  const running = new Promise((_, fail) => (reject = fail));
  graphql.mockReturnValue(running);
  cancel.mockImplementation(() => {
    reject(new Error('cancelled'));
    return true;
  });
  const controller = new AbortController();
  const response = transport.request('query Q { q }', {}, controller.signal);
  controller.abort();
  await expect(response).rejects.toMatchObject({ code: 'ABORTED' });
  expect(cancel).toHaveBeenCalledWith(running);
  await expect(transport.request('query Q { q }', {}, controller.signal)).rejects.toMatchObject({
    code: 'ABORTED',
  });
});

test('acknowledgements of the same subscription are told, the first one and later ones', () => {
  const { recorder } = follow();
  tellHub('Subscription ack', { id: '1', query: 'q', variables: { id: 'y' } });
  expect(recorder.calls).toEqual([]);
  tellHub('Subscription ack', { id: '2', query: 'q', variables: { id: 'x' } });
  tellHub('Subscription ack', { id: '2', query: 'q', variables: { id: 'x' } });
  expect(recorder.calls).toEqual(['subscribed', 'subscribed']);
});

test('updates are told', () => {
  const { recorder } = follow();
  observers[0]?.next({ data: { s: 1 } });
  expect(recorder.data).toEqual([{ s: 1 }]);
});

test.each([
  ['Connecting', 'CONNECTING'],
  ['Connected', 'CONNECTED'],
  ['ConnectedPendingKeepAlive', 'CONNECTED'],
  ['ConnectionDisrupted', 'WAITING_TO_RECONNECT'],
  ['ConnectedPendingNetwork', 'OFFLINE'],
  ['ConnectionDisruptedPendingNetwork', 'OFFLINE'],
  ['ConnectedPendingDisconnect', 'CLOSED'],
  ['Disconnected', 'CLOSED'],
])("Amplify's state %s is %s", (connectionState, state) => {
  const { recorder } = follow();
  tellHub('ConnectionStateChange', { connectionState });
  expect(recorder.calls).toEqual([state]);
});

const refusal = JSON.stringify({ errors: [{ errorType: 'Unauthorized', message: 'Not Authorized.' }] });

test.each([
  [`Connection failed: ${refusal}`, 'error Unauthorized'],
  ['Connection failed: UnauthorizedException', 'error UNAUTHORIZED'],
  ['Connection failed: {"no":"errors"}', 'error OTHER'],
])('the refusal %s is told, and nothing after it', (message, call) => {
  const { recorder } = follow();
  observers[0]?.error({ errors: [{ message }] });
  tellHub('Subscription ack', { variables: { id: 'x' } });
  expect(recorder.calls).toEqual([call]);
});

test('an unsubscription ends the subscription and listening', () => {
  const { subscription } = follow();
  subscription.unsubscribe();
  expect(unsubscribe).toHaveBeenCalledTimes(1);
  expect(listeners.size).toBe(0);
});

test('closing ends all subscriptions and refuses what follows', async () => {
  follow();
  follow();
  transport.close();
  expect(unsubscribe).toHaveBeenCalledTimes(2);
  await expect(transport.request('query Q { q }', {})).rejects.toMatchObject({ code: 'CLOSED' });
  const { recorder } = follow();
  await Promise.resolve();
  expect(recorder.calls).toEqual(['error CLOSED']);
});
