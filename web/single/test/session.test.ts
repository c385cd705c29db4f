import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConnectionObserver } from '../src/entry/connection.js';
import { EntrySession } from '../src/entry/session.js';
import type { OutgoingMessage } from '../src/entry/messages.js';

let observers: ConnectionObserver[];
let sent: OutgoingMessage[];
let closed: number;
let session: EntrySession;
let target: EventTarget;

beforeEach(() => {
  observers = [];
  sent = [];
  closed = 0;
  target = new EventTarget();
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target));
  vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target));
  session = new EntrySession((observer) => {
    observers.push(observer);
    return {
      send: (message) => sent.push(message),
      close: () => {
        closed += 1;
      },
    };
  });
  session.start();
});

afterEach(() => {
  session.stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function last(): ConnectionObserver {
  const observer = observers.at(-1);
  if (!observer) throw new Error('no connection was opened');
  return observer;
}

test('connects again after a time that doubles', () => {
  const delays: number[] = [];
  for (let failures = 1; failures <= 7; failures += 1) {
    last().onClose(undefined);
    const before = Date.now();
    vi.advanceTimersToNextTimer();
    delays.push(Date.now() - before);
  }
  expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  last().onOpen();
  last().onClose(undefined);
  const before = Date.now();
  vi.advanceTimersToNextTimer();
  expect(Date.now() - before).toBe(500);
});

test('says how the connection is', () => {
  const phases = () => {
    const { connection, hasConnected, reason } = session.getSnapshot();
    return [connection, hasConnected, reason];
  };
  expect(phases()).toEqual(['CONNECTING', false, undefined]);
  last().onClose('You are not authorized.');
  expect(phases()).toEqual(['WAITING', false, 'You are not authorized.']);
  vi.advanceTimersToNextTimer();
  expect(phases()).toEqual(['CONNECTING', false, 'You are not authorized.']);
  last().onOpen();
  expect(phases()).toEqual(['CONNECTED', true, undefined]);
});

test('connects at once when the browser is online again', () => {
  last().onClose(undefined);
  target.dispatchEvent(new Event('online'));
  expect(observers).toHaveLength(2);
  target.dispatchEvent(new Event('online'));
  expect(observers).toHaveLength(2);
});

test('sends a question when the connection is there, and again when nothing answers', () => {
  session.send('One');
  expect(sent).toEqual([]);
  last().onOpen();
  expect(sent).toMatchObject([{ action: 'send', text: 'One' }]);
  expect(sent[0]?.id).toMatch(/^[0-9a-f-]{36}$/);
  vi.advanceTimersByTime(10_000);
  expect(sent[1]).toEqual(sent[0]);
});

test('tells its listeners of messages, also of those in parts', () => {
  last().onOpen();
  session.send('One');
  const listener = vi.fn();
  const unsubscribe = session.subscribe(listener);
  const turnId = sent[0]?.id ?? '';
  const accepted = JSON.stringify({ type: 'accepted', id: turnId, conversationId: 'c', turnId });
  last().onMessage({ type: 'part', id: turnId, part: 2, parts: 2, data: accepted.slice(20) });
  last().onMessage({ type: 'unknown' });
  expect(listener).not.toHaveBeenCalled();
  last().onMessage({ type: 'part', id: turnId, part: 1, parts: 2, data: accepted.slice(0, 20) });
  expect(listener).toHaveBeenCalled();
  expect(session.getSnapshot().exchanges[0]?.delivery).toEqual({ phase: 'SENT' });
  unsubscribe();
  listener.mockClear();
  session.cancel(turnId);
  last().onMessage({ type: 'error', id: sent.at(-1)?.id, code: 'Conflict', message: 'It has ended.' });
  expect(session.getSnapshot().exchanges[0]?.refusal?.code).toBe('Conflict');
  expect(listener).not.toHaveBeenCalled();
});

test('does nothing after it was stopped', () => {
  last().onOpen();
  session.send('One');
  session.stop();
  expect(closed).toBe(1);
  vi.advanceTimersByTime(1_000_000);
  target.dispatchEvent(new Event('online'));
  expect(sent).toHaveLength(1);
  expect(observers).toHaveLength(1);
});
