/** The conversation against a model of the backend whose messages are lost, in a time of its own. */
import type { ConversationEvent, ConversationUpdate, Turn } from 'parlance-client';
import { beforeEach, describe, expect, test } from 'vitest';
import { EntryConversation, type Exchange } from '../src/entry/conversation.js';
import { parseMessage, type OutgoingMessage } from '../src/entry/messages.js';

const CONVERSATION = 'c-1';

/** Answers each question with `words`, one batch for each. */
class Backend {
  words = ['Lambda ', 'runs ', 'code ', 'without ', 'servers.'];
  /** By turn: how many batches are published. */
  readonly #turns = new Map<string, { question: string; published: number; status: Turn['status'] }>();

  accept(turnId: string, question: string): object {
    if (!this.#turns.has(turnId)) this.#turns.set(turnId, { question, published: 0, status: 'RUNNING' });
    return { type: 'accepted', id: turnId, conversationId: CONVERSATION, turnId };
  }

  /** The next message of the run: the question, each word, the answer. */
  publish(turnId: string): object {
    const turn = this.#turn(turnId);
    turn.published += 1;
    const sequence = turn.published;
    const name = { id: turnId, conversationId: CONVERSATION, turnId, attempt: 1, sequence };
    if (sequence === 1) {
      return {
        type: 'delta',
        ...name,
        metadata: { status: 'RUNNING' },
        event: userEvent(turnId, turn.question),
      };
    }
    const delta = this.words[sequence - 2];
    if (delta === undefined) {
      turn.status = 'COMPLETED';
      return { type: 'answer', ...name, status: 'COMPLETED', message: this.words.join('') };
    }
    return { type: 'delta', ...name, metadata: batch(delta) };
  }

  getTurn({ id, turnId, afterSequence }: Extract<OutgoingMessage, { action: 'history' }>): object {
    const { question, published, status } = this.#turn(turnId);
    const words = this.words.slice(0, Math.max(published - 1, 0));
    const batches = words.map((word, index) => ({ attempt: 1, sequence: index + 2, metadata: batch(word) }));
    const hasEnded = status === 'COMPLETED';
    const turn = {
      id: turnId,
      conversationId: CONVERSATION,
      status,
      attempt: published > 0 ? 1 : 0,
      question: userEvent(turnId, question),
      answer: hasEnded ? [agentEvent(turnId, this.words.join(''))] : [],
      batches: hasEnded ? [] : batches.filter((one) => one.sequence > afterSequence),
      hasMoreBatches: false,
    };
    return { type: 'turn', id, turn };
  }

  #turn(turnId: string) {
    const turn = this.#turns.get(turnId);
    if (!turn) throw new Error(`there is no turn ${turnId}`);
    return turn;
  }
}

function batch(word: string): ConversationUpdate['metadata'] {
  return {
    status: 'RUNNING',
    contentBlockIndex: 0,
    agentPartialMessage: word,
  } as ConversationUpdate['metadata'];
}

function userEvent(turnId: string, text: string): Partial<ConversationEvent> {
  const sender = { kind: 'USER', id: null, name: null } as const;
  return { id: turnId, turnId, position: 1, sender, text, content: [contentOf(text)] };
}

function agentEvent(turnId: string, text: string): Partial<ConversationEvent> {
  const sender = { kind: 'AGENT', id: 'default', name: 'Assistant' } as const;
  const content = [contentOf(text)];
  return {
    id: `${turnId}-1`,
    turnId,
    position: 2,
    attempt: 1,
    sender,
    text,
    content,
    stopReason: 'END_TURN',
  };
}

function contentOf(text: string): ConversationEvent['content'][number] {
  return { text, citations: null, toolUse: null, toolResult: null, reasoning: null };
}

let conversation: EntryConversation;
let backend: Backend;
let now: number;

beforeEach(() => {
  let ids = 0;
  conversation = new EntryConversation(() => `id-${(ids += 1)}`);
  backend = new Backend();
  now = 0;
});

function deliver(json: object): void {
  const message = parseMessage(json);
  if (!message || message.type === 'part') throw new Error('the message is not known');
  conversation.onMessage(message, now);
}

function sent(): OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  for (let next = conversation.pollMessage(); next; next = conversation.pollMessage()) messages.push(next);
  return messages;
}

/** Moves the time to the next moment that the conversation has asked for. */
function wake(): void {
  now = conversation.wakeAt() ?? now;
  conversation.advance(now);
}

function exchange(index = -1): Exchange {
  const found = conversation.view().exchanges.at(index);
  if (!found) throw new Error('there is no exchange');
  return found;
}

function text({ turn }: Exchange): string {
  const stored = (turn?.events ?? []).map((event) => event.text ?? '');
  return [...stored, ...(turn?.streaming ?? []).map((block) => block.text)].join('');
}

/** Answers what the conversation asks for, until it asks for nothing. */
function serve(): OutgoingMessage[] {
  const served: OutgoingMessage[] = [];
  for (let messages = sent(); messages.length > 0; messages = sent()) {
    for (const message of messages) {
      served.push(message);
      if (message.action === 'send') deliver(backend.accept(message.id, message.text));
      if (message.action === 'history') deliver(backend.getTurn(message));
    }
  }
  return served;
}

describe('a question', () => {
  test('is answered while it is written', () => {
    conversation.onConnected(now);
    conversation.send('What is AWS Lambda?', now);
    expect(conversation.view().canSend).toBe(false);
    expect(exchange().delivery).toEqual({ phase: 'SENDING' });
    const [first] = serve();
    expect(first).toEqual({ action: 'send', id: 'id-1', text: 'What is AWS Lambda?', stream: true });
    expect(exchange().delivery).toEqual({ phase: 'SENT' });
    const texts: string[] = [];
    for (let step = 0; step < 7; step += 1) {
      deliver(backend.publish('id-1'));
      serve();
      texts.push(text(exchange()));
    }
    expect(texts.slice(0, 4)).toEqual(['', 'Lambda ', 'Lambda runs ', 'Lambda runs code ']);
    expect(texts.at(-1)).toBe('Lambda runs code without servers.');
    expect(exchange().turn?.end?.status).toBe('COMPLETED');
    expect(conversation.view().canSend).toBe(true);
  });

  test('goes to the conversation of the first one', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    serve();
    while (exchange().turn?.end === undefined) {
      deliver(backend.publish('id-1'));
      serve();
    }
    conversation.send('Two', now);
    expect(sent()[0]).toMatchObject({ action: 'send', text: 'Two', conversationId: CONVERSATION });
  });

  test('waits for the connection, and for the answer before it', () => {
    conversation.send('One', now);
    conversation.send('Two', now);
    expect(conversation.view().exchanges).toHaveLength(1);
    expect(sent()).toEqual([]);
    expect(conversation.wakeAt()).toBeUndefined();
    conversation.onConnected(now);
    expect(sent()).toMatchObject([{ text: 'One' }]);
  });

  test('is sent again with the same id while nothing answers it, and then given up', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    const ids: string[] = [];
    while (exchange().delivery.phase === 'SENDING') {
      ids.push(...sent().map((message) => message.id));
      wake();
    }
    expect(ids).toEqual(Array.from({ length: 5 }, () => 'id-1'));
    expect(now).toBe(50_000);
    const error = { code: 'Unavailable', message: 'The service did not answer.' };
    expect(exchange().delivery).toEqual({ phase: 'FAILED', error });
    conversation.sendAgain('id-1', now);
    expect(sent()).toMatchObject([{ action: 'send', id: 'id-1', text: 'One' }]);
  });

  test('is sent again after a new connection', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    sent();
    conversation.onDisconnected(now);
    expect(conversation.wakeAt()).toBeUndefined();
    conversation.onConnected((now += 60_000));
    expect(sent()).toMatchObject([{ action: 'send', id: 'id-1' }]);
  });

  test('that the service cannot take now is sent again after a while', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    sent();
    deliver({ type: 'error', id: 'id-1', code: 'Unavailable', message: 'Later.' });
    expect(exchange().delivery).toEqual({ phase: 'SENDING' });
    wake();
    expect(now).toBe(1000);
    expect(sent()).toMatchObject([{ id: 'id-1' }]);
  });

  test('that is refused can be sent again', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    sent();
    deliver({ type: 'error', id: 'id-1', code: 'TooManyRequests', message: 'Too many messages.' });
    const error = { code: 'TooManyRequests', message: 'Too many messages.' };
    expect(exchange().delivery).toEqual({ phase: 'FAILED', error });
    expect(conversation.view().canSend).toBe(true);
    expect(conversation.wakeAt()).toBeUndefined();
  });
});

describe('lost messages', () => {
  const cases = Array.from({ length: 2 ** 7 }, (_, mask) => mask);

  test.each(cases)('any of them leave the stored text: %i', (mask) => {
    conversation.onConnected(now);
    conversation.send('One', now);
    serve();
    for (let step = 0; step < 7; step += 1) {
      const message = backend.publish('id-1');
      if ((mask >> step) % 2 === 0) deliver(message);
      serve();
    }
    for (let step = 0; step < 10 && exchange().turn?.end === undefined; step += 1) {
      wake();
      serve();
    }
    expect(text(exchange())).toBe('Lambda runs code without servers.');
    expect(now).toBeLessThanOrEqual(20_000);
  });

  test('of a lost connection are asked for after the next one', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    serve();
    deliver(backend.publish('id-1'));
    deliver(backend.publish('id-1'));
    serve();
    conversation.onDisconnected(now);
    backend.publish('id-1');
    expect(sent()).toEqual([]);
    conversation.onConnected(now);
    const [history] = serve();
    expect(history).toMatchObject({ action: 'history', turnId: 'id-1', attempt: 1, afterSequence: 2 });
    expect(text(exchange())).toBe('Lambda runs ');
  });

  test('a request for a turn that nothing answers is repeated', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    const [question] = sent();
    deliver(backend.accept('id-1', 'One'));
    expect(question).toMatchObject({ action: 'send' });
    let histories = 0;
    for (let step = 0; step < 20 && histories < 3; step += 1) {
      histories += sent().filter((message) => message.action === 'history').length;
      wake();
    }
    expect(histories).toBe(3);
    expect(now).toBeLessThan(60_000);
  });

  test('messages of other turns and of unknown requests change nothing', () => {
    conversation.onConnected(now);
    conversation.send('One', now);
    serve();
    const before = conversation.view();
    const other = { conversationId: 'c-2', turnId: 't-2', attempt: 1, sequence: 1 };
    deliver({ type: 'delta', ...other, metadata: batch('Other') });
    deliver({ type: 'answer', ...other, id: 'x' });
    deliver({ type: 'error', id: 'x', code: 'Conflict', message: 'No.' });
    deliver({ type: 'turn', id: 'x', turn: {} });
    expect(conversation.view()).toBe(before);
  });
});

describe('commands', () => {
  beforeEach(() => {
    conversation.onConnected(now);
    conversation.send('One', now);
    serve();
    deliver(backend.publish('id-1'));
    serve();
  });

  const name = { conversationId: CONVERSATION, turnId: 'id-1' };

  test('name the turn', () => {
    conversation.cancel('id-1', now);
    conversation.retry('id-1', now);
    conversation.continue('id-1', now);
    conversation.answerToolCall('id-1', 'call-1', true, now);
    expect(sent().map(({ id, ...message }) => ({ ...message, hasId: id !== 'id-1' }))).toEqual([
      { action: 'cancel', ...name, hasId: true },
      { action: 'retry', stream: true, ...name, hasId: true },
      { action: 'continue', stream: true, ...name, hasId: true },
      { action: 'answerToolCall', toolUseId: 'call-1', approved: true, stream: true, ...name, hasId: true },
    ]);
  });

  test('that are refused say why, until the next one', () => {
    conversation.cancel('id-1', now);
    const [{ id } = { id: '' }] = sent();
    deliver({ type: 'error', id, code: 'Conflict', message: 'The turn has ended.' });
    expect(exchange().refusal).toEqual({ code: 'Conflict', message: 'The turn has ended.' });
    conversation.cancel('id-1', now);
    expect(exchange().refusal).toBeUndefined();
  });

  test('that nothing answers are not repeated: the turn is asked for', () => {
    conversation.retry('id-1', now);
    sent();
    wake();
    expect(sent().map((message) => message.action)).toEqual(['history']);
  });

  test('need a connection', () => {
    conversation.onDisconnected(now);
    conversation.cancel('id-1', now);
    expect(sent()).toEqual([]);
  });
});

test('the page shows the newest questions', () => {
  conversation.onConnected(now);
  for (let number = 0; number < 510; number += 1) {
    conversation.send(`Question ${number}`, now);
    for (const { id } of sent()) deliver({ type: 'error', id, code: 'Conflict', message: 'No.' });
  }
  expect(conversation.view().exchanges).toHaveLength(500);
  expect(exchange(0).question).toBe('Question 10');
});

test('an exchange stays the same object while nothing in it changes', () => {
  conversation.onConnected(now);
  conversation.send('One', now);
  serve();
  while (exchange().turn?.end === undefined) {
    deliver(backend.publish('id-1'));
    serve();
  }
  const first = exchange(0);
  conversation.send('Two', now);
  serve();
  expect(exchange(0)).toBe(first);
  expect(conversation.view()).toBe(conversation.view());
});
