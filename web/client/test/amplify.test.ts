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

/** Follows with an observer that Amplify has accepted, and that knows of no connection. */
async function follow(variables = { id: 'x' }) {
  graphql.mockReturnValue({
    subscribe(observer: AmplifyObserver) {
      observers.push(observer);
      return { unsubscribe };
    },
  });
  const recorder = new Recorder();
  const subscription = transport.subscribe('subscription S { s }', variables, recorder);
  expect(recorder.calls).toEqual([]);
  await Promise.resolve();
  recorder.calls.splice(0);
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

test('acknowledgements of the same subscription are told, the first one and later ones', async () => {
  const { recorder } = await follow();
  tellHub('Subscription ack', { id: '1', query: 'q', variables: { id: 'y' } });
  expect(recorder.calls).toEqual([]);
  tellHub('Subscription ack', { id: '2', query: 'q', variables: { id: 'x' } });
  tellHub('Subscription ack', { id: '2', query: 'q', variables: { id: 'x' } });
  expect(recorder.calls).toEqual(['CONNECTED', 'subscribed', 'subscribed']);
});

test('updates are told', async () => {
  const { recorder } = await follow();
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
])("Amplify's state %s is %s", async (connectionState, state) => {
  tellHub('ConnectionStateChange', { connectionState });
  const recorder = new Recorder();
  graphql.mockReturnValue({ subscribe: () => ({ unsubscribe }) });
  transport.subscribe('subscription S { s }', {}, recorder);
  await Promise.resolve();
  expect(recorder.calls).toEqual([state]);
});

test('changes of the state are told', async () => {
  const { recorder } = await follow();
  for (const connectionState of ['Connecting', 'Connected', 'ConnectedPendingKeepAlive', 'Disconnected']) {
    tellHub('ConnectionStateChange', { connectionState });
  }
  expect(recorder.calls).toEqual(['CONNECTING', 'CONNECTED', 'CLOSED']);
});

const refusal = JSON.stringify({ errors: [{ errorType: 'Unauthorized', message: 'Not Authorized.' }] });

test.each([
  [`Connection failed: ${refusal}`, 'error Unauthorized'],
  ['Connection failed: UnauthorizedException', 'error UNAUTHORIZED'],
  ['Connection failed: {"no":"errors"}', 'error OTHER'],
])('the refusal %s is told, and nothing after it', async (message, call) => {
  const { recorder } = await follow();
  observers[0]?.error({ errors: [{ message }] });
  tellHub('Subscription ack', { variables: { id: 'x' } });
  expect(recorder.calls).toEqual([call]);
});

test('an unsubscription ends the subscription and listening', async () => {
  const { subscription } = await follow();
  subscription.unsubscribe();
  expect(unsubscribe).toHaveBeenCalledTimes(1);
  // That of the transport.
  expect(listeners.size).toBe(1);
});

test('an unsubscription at once does not reach Amplify', async () => {
  const recorder = new Recorder();
  transport.subscribe('subscription S { s }', {}, recorder).unsubscribe();
  await Promise.resolve();
  expect(graphql).not.toHaveBeenCalled();
  expect(recorder.calls).toEqual([]);
});

test('what Amplify throws at once refuses the subscription', async () => {
  graphql.mockImplementation(() => {
    throw new Error('no configuration');
  });
  const recorder = new Recorder();
  transport.subscribe('subscription S { s }', {}, recorder);
  await Promise.resolve();
  expect(recorder.calls).toEqual(['CLOSED', 'error OTHER']);
});

test('closing ends all subscriptions and refuses what follows', async () => {
  await follow();
  await follow();
  transport.close();
  expect(unsubscribe).toHaveBeenCalledTimes(2);
  await expect(transport.request('query Q { q }', {})).rejects.toMatchObject({ code: 'CLOSED' });
  const recorder = new Recorder();
  transport.subscribe('subscription S { s }', {}, recorder);
  await Promise.resolve();
  expect(recorder.calls).toEqual(['error CLOSED']);
  expect(listeners.size).toBe(0);
});
