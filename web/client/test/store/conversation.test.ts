import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClientOf } from '../../src/client.js';
import { createConversation, type ConversationOptions } from '../../src/store/conversation.js';
import type { AssistantMessage, ConversationStore, Message, UserMessage } from '../../src/store/snapshot.js';
import { block, FakeServer } from '../support/fakeServer.js';
import { untilSnapshot as until } from '../../src/store/untilSnapshot.js';

let server: FakeServer;
let stores: ConversationStore[];

beforeEach(() => {
  server = new FakeServer();
  stores = [];
});

afterEach(() => {
  for (const store of stores) store.dispose();
});

function open(options: ConversationOptions = {}): ConversationStore {
  const store = createConversation(createClientOf(server), options);
  store.subscribe(() => undefined);
  stores.push(store);
  return store;
}

async function opened(id: string, options: ConversationOptions = {}): Promise<ConversationStore> {
  const store = open({ id, ...options });
  await until(store, ({ phase, connection }) => phase === 'READY' && connection === 'CONNECTED');
  return store;
}

function textOf(message: Message | undefined): string {
  if (message?.role !== 'assistant') return message?.text ?? '';
  return message.parts.map((part) => (part.type === 'tool' ? `[${part.name}]` : part.text)).join('');
}

function texts(store: ConversationStore): string[] {
  return store.getSnapshot().messages.map(textOf);
}

function lastAnswer(store: ConversationStore): AssistantMessage {
  const message = store.getSnapshot().messages.at(-1);
  if (message?.role !== 'assistant') throw new Error('The last message is no answer.');
  return message;
}

function lastQuestion(store: ConversationStore): UserMessage {
  const message = store.getSnapshot().messages.findLast(({ role }) => role === 'user');
  if (message?.role !== 'user') throw new Error('There is no question.');
  return message;
}

const isIdle = ({ status }: { status: string }) => status === 'IDLE';

describe('a new conversation', () => {
  it('is created by its first message, which is shown at once', async () => {
    const store = open({ agentId: 'clerk' });
    expect(store.getSnapshot()).toMatchObject({ phase: 'NEW', status: 'IDLE', messages: [], canWrite: true });
    const sent = store.send('Hello!');
    expect(lastQuestion(store)).toMatchObject({ text: 'Hello!', delivery: 'SENDING' });
    expect(store.getSnapshot()).toMatchObject({ status: 'SENDING' });
    await sent;
    const { id, conversation, status } = store.getSnapshot();
    expect(server.conversations.has(String(id))).toBe(true);
    expect(conversation).toMatchObject({ agentId: 'clerk', access: 'OWNER' });
    expect(status).toBe('QUEUED');
    expect(lastQuestion(store).delivery).toBe('SENT');
  });

  it('streams the answer', async () => {
    const store = open();
    await store.send('Hello!');
    const id = String(store.getSnapshot().id);
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(id).text('Hi ').text('there');
    await until(store, () => texts(store)[1] === 'Hi there');
    expect(lastAnswer(store)).toMatchObject({ status: 'STREAMING', parts: [{ isStreaming: true }] });
    expect(store.getSnapshot().status).toBe('RUNNING');
    answer.end('Hi there.');
    await until(store, isIdle);
    expect(texts(store)).toEqual(['Hello!', 'Hi there.']);
    expect(lastAnswer(store)).toMatchObject({
      status: 'COMPLETED',
      stopReason: 'END_TURN',
      usage: { totalTokens: 15 },
      parts: [{ isStreaming: false }],
    });
    expect(store.getSnapshot()).toMatchObject({ canRetry: true, canContinue: false });
  });

  it('shows reasoning before the text, and has its time once it is stored', async () => {
    const store = open();
    await store.send('Why?');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id)).reasoning('Let me ').reasoning('think.');
    await until(store, () => lastAnswer(store).parts.length === 1);
    expect(lastAnswer(store).parts).toMatchObject([
      { type: 'reasoning', text: 'Let me think.', isStreaming: true },
    ]);
    answer.update({ agentPartialMessage: 'Because.', contentBlockIndex: 1 });
    await until(store, () => lastAnswer(store).parts.length === 2);
    const before = lastAnswer(store).parts;
    expect(before).toMatchObject([{ isStreaming: false }, { type: 'text', isStreaming: true }]);
    const reasoning = { text: 'Let me think.', milliseconds: 1200 };
    answer.endWith([block({ reasoning }), block({ text: 'Because.' })], { modelId: 'other' });
    await until(store, isIdle);
    const after = lastAnswer(store);
    expect(after).toMatchObject({ modelId: 'other', parts: [{ milliseconds: 1200 }, { text: 'Because.' }] });
    expect(after.parts.map(({ key }) => key)).toEqual(before.map(({ key }) => key));
  });

  it('keeps the key of a text before which hidden reasoning is stored', async () => {
    const store = open();
    await store.send('Why?');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id)).text('Because.');
    await until(store, () => texts(store)[1] === 'Because.');
    const [text] = lastAnswer(store).parts;
    answer.endWith([block({ reasoning: { text: '', milliseconds: 900 } }), block({ text: 'Because.' })]);
    await until(store, isIdle);
    expect(lastAnswer(store).parts).toMatchObject([{ type: 'reasoning', text: '' }, { key: text?.key }]);
  });

  it('joins reasoning that was cut at the end of an event, and parts blocks of one event', async () => {
    const store = open();
    await store.send('Why?');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id));
    const thought = (text: string) => block({ reasoning: { text, milliseconds: 100 } });
    answer.event('AGENT', [thought('One.'), thought('Let me th')]);
    answer.endWith([thought('ink.'), thought('Two.'), block({ text: 'So.' })]);
    await until(store, isIdle);
    expect(lastAnswer(store).parts).toMatchObject([
      { type: 'reasoning', text: 'One.\n\nLet me think.\n\nTwo.', milliseconds: 400 },
      { type: 'text', text: 'So.' },
    ]);
  });

  it('takes back what a guardrail has blocked, reasoning too', async () => {
    const store = open();
    await store.send('Why?');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id)).reasoning('Hm.').text('Mix the');
    await until(store, () => lastAnswer(store).parts.length === 2);
    const guardrail = { source: 'OUTPUT', policies: ['TOPIC'] } as const;
    answer.endWith([block({ text: 'No.' })], { stopReason: 'GUARDRAIL_INTERVENED', guardrail });
    await until(store, isIdle);
    expect(lastAnswer(store)).toMatchObject({ guardrail, parts: [{ type: 'text', text: 'No.' }] });
  });

  it('gets its title from the backend', async () => {
    const store = open();
    await store.send('Why?');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    server.title(String(store.getSnapshot().id), 'Reasons');
    await until(store, ({ conversation }) => conversation?.title === 'Reasons');
    expect(store.getSnapshot().status).toBe('QUEUED');
  });

  it('keeps the keys of messages and parts from the first character to the stored event', async () => {
    const store = open();
    const sent = store.send('Hello!');
    const questionKey = lastQuestion(store).key;
    await sent;
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id)).text('Hi');
    await until(store, () => texts(store)[1] === 'Hi');
    const before = lastAnswer(store);
    answer.end('Hi.');
    await until(store, isIdle);
    const after = lastAnswer(store);
    expect([lastQuestion(store).key, after.key, after.parts[0]?.key]).toEqual([
      questionKey,
      before.key,
      before.parts[0]?.key,
    ]);
  });
});

describe('a message that fails', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    server.seed('c1', 1);
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('is repeated with the same id, and never stored twice', async () => {
    const store = open({ id: 'c1' });
    server.fail('sendMessage', 'NETWORK', { isResponseLost: true });
    server.fail('sendMessage', 'TryAgain');
    const sent = store.send('Hello!');
    await vi.advanceTimersByTimeAsync(10_000);
    await sent;
    const ids = server.requests
      .filter(({ operation }) => operation === 'sendMessage')
      .map(({ variables }) => (variables['input'] as { id: string }).id);
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(1);
    const stored = server.stored('c1').events.filter(({ text }) => text === 'Hello!');
    expect(stored).toHaveLength(1);
  });

  it('fails after about a minute, and is sent again with its id', async () => {
    const store = open({ id: 'c1' });
    await vi.advanceTimersByTimeAsync(100);
    server.setOnline(false);
    const sent = store.send('Hello!');
    const failure = expect(sent).rejects.toMatchObject({ code: 'NETWORK' });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(lastQuestion(store).delivery).toBe('SENDING');
    await vi.advanceTimersByTimeAsync(60_000);
    await failure;
    const { id, delivery } = lastQuestion(store);
    expect(delivery).toMatchObject({ failed: { code: 'NETWORK' } });
    expect(store.getSnapshot()).toMatchObject({ status: 'IDLE', canRetry: true });
    server.setOnline(true);
    await store.send('Hello!', { id });
    expect(lastQuestion(store)).toMatchObject({ id, delivery: 'SENT' });
  });

  it('can be changed or discarded', async () => {
    const store = open({ id: 'c1' });
    await vi.advanceTimersByTimeAsync(100);
    server.fail('sendMessage', 'QuotaExceeded');
    server.fail('sendMessage', 'QuotaExceeded');
    await expect(store.send('Hello!')).rejects.toMatchObject({ code: 'QuotaExceeded' });
    const { id } = lastQuestion(store);
    await expect(store.edit(id, 'Good day!')).rejects.toMatchObject({ code: 'QuotaExceeded' });
    expect(lastQuestion(store)).toMatchObject({ id, text: 'Good day!' });
    await store.edit(id, 'Good evening!');
    expect(lastQuestion(store)).toMatchObject({ id, text: 'Good evening!', delivery: 'SENT' });
    server.answer('c1').end('Good evening.');
    server.fail('sendMessage', 'QuotaExceeded');
    await expect(store.send('More')).rejects.toMatchObject({ code: 'QuotaExceeded' });
    store.discard(lastQuestion(store).id);
    expect(lastQuestion(store)).toMatchObject({ text: 'Good evening!' });
  });

  it('creates the conversation once, whatever fails', async () => {
    const store = open();
    server.fail('createConversation', 'NETWORK', { isResponseLost: true });
    server.fail('sendMessage', 'InvalidInput');
    const sent = expect(store.send('Hello!')).rejects.toMatchObject({ code: 'InvalidInput' });
    await vi.advanceTimersByTimeAsync(10_000);
    await sent;
    await store.send('Hello!', { id: lastQuestion(store).id });
    expect([...server.conversations.keys()]).toEqual(['c1', store.getSnapshot().id]);
  });
});

describe('history', () => {
  it('is loaded by pages, oldest first', async () => {
    server.seed('c1', 30);
    const store = await opened('c1', { pageSize: 20 });
    expect(texts(store)).toHaveLength(20);
    expect(store.getSnapshot().hasEarlier).toBe(true);
    const before = store.getSnapshot().messages;
    const loading = store.loadEarlier();
    void store.loadEarlier();
    expect(store.getSnapshot().isLoadingEarlier).toBe(true);
    await loading;
    const after = store.getSnapshot();
    expect(after.messages).toHaveLength(40);
    expect(after.messages.slice(20)).toEqual(before);
    expect(after.messages.slice(20).every((message, index) => message === before[index])).toBe(true);
    await store.loadEarlier();
    expect(store.getSnapshot().hasEarlier).toBe(false);
    expect(texts(store)[0]).toBe('Question 1');
    await store.loadEarlier();
    // The rule has asked for later events once it was subscribed, and nobody for earlier ones in vain.
    const before1 = server.requests.filter(({ variables }) => variables['before'] !== undefined);
    expect(before1).toHaveLength(2);
  });

  it('is READY although the connection is not there', async () => {
    server.seed('c1', 1);
    vi.spyOn(server, 'subscribe').mockReturnValue({ unsubscribe: () => undefined });
    const store = open({ id: 'c1' });
    await until(store, ({ phase }) => phase === 'READY');
    expect(texts(store)).toEqual(['Question 1', 'Answer 1']);
  });

  it('of a conversation that does not exist is FAILED', async () => {
    const store = open({ id: 'none' });
    const { error } = await until(store, ({ phase }) => phase === 'FAILED');
    expect(error?.code).toBe('NotFound');
    await expect(store.reload()).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('comes back by reload once it can be read', async () => {
    server.seed('c1', 1);
    server.fail('getConversation', 'UNAUTHORIZED');
    const store = open({ id: 'c1' });
    await until(store, ({ phase }) => phase === 'FAILED');
    await store.reload();
    expect(store.getSnapshot()).toMatchObject({ phase: 'READY' });
    expect(store.getSnapshot().error).toBeUndefined();
    expect(texts(store)).toEqual(['Question 1', 'Answer 1']);
  });

  it('tells details, access and the time of the newest event', async () => {
    server.seed('c1', 1);
    const stored = server.stored('c1');
    stored.conversation = { ...stored.conversation, title: 'Plans', access: 'READ' };
    const store = await opened('c1');
    expect(store.getSnapshot()).toMatchObject({ canWrite: false, canRetry: false });
    expect(store.getSnapshot().conversation).toMatchObject({ title: 'Plans', participants: [] });
    stored.conversation = { ...stored.conversation, access: 'OWNER' };
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    server.answer('c1').end('Yes.');
    await until(store, () => texts(store).length === 4);
    const newest = server.stored('c1').events.at(-1)?.createdAt;
    expect(store.getSnapshot().conversation?.lastActivityAt).toBe(newest);
  });
});

describe('an answer', () => {
  it('that runs while the page is opened goes on', async () => {
    server.seed('c1', 1);
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    const answer = server.answer('c1').text('One, ');
    const store = await opened('c1');
    await until(store, () => texts(store).at(-1) === 'One, ');
    expect(store.getSnapshot().status).toBe('RUNNING');
    answer.text('two');
    await until(store, () => texts(store).at(-1) === 'One, two');
    answer.end('One, two.');
    await until(store, isIdle);
    expect(texts(store)).toEqual(['Question 1', 'Answer 1', 'More', 'One, two.']);
  });

  it('that another client asked for appears', async () => {
    server.seed('c1', 1);
    const store = await opened('c1');
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    server.answer('c1').text('Yes');
    await until(store, () => texts(store).length === 4);
    expect(texts(store)).toEqual(['Question 1', 'Answer 1', 'More', 'Yes']);
  });

  it('loses nothing over an interruption', async () => {
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id)).text('One');
    await until(store, () => texts(store)[1] === 'One');
    server.setOnline(false);
    expect(store.getSnapshot().connection).toBe('OFFLINE');
    answer.text(', two').text(', three');
    server.setOnline(true);
    await until(store, () => texts(store)[1] === 'One, two, three');
    server.losesUpdates = true;
    answer.end('One, two, three.');
    server.setOnline(true);
    await until(store, isIdle);
    expect(texts(store)[1]).toBe('One, two, three.');
  });

  it('of a new attempt replaces that of the attempt that died', async () => {
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const id = String(store.getSnapshot().id);
    server.answer(id).text('I will ne');
    await until(store, () => texts(store)[1] === 'I will ne');
    const second = server.answer(id).text('Again');
    await until(store, () => texts(store)[1] === 'Again');
    second.end('Again.');
    await until(store, isIdle);
    expect(texts(store)).toEqual(['Hello!', 'Again.']);
  });

  it('that is cancelled keeps its text and can be continued', async () => {
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const id = String(store.getSnapshot().id);
    const answer = server.answer(id).text('One');
    await until(store, () => texts(store)[1] === 'One');
    const cancelled = store.cancel();
    await until(store, ({ status }) => status === 'CANCELLING');
    await cancelled;
    expect(server.stored(id).turns.get(answer.turnId)?.turn.status).toBe('CANCELLING');
    expect(store.getSnapshot().status).toBe('CANCELLING');
    answer.end('One', 'CANCELLED');
    await until(store, isIdle);
    expect(lastAnswer(store)).toMatchObject({ status: 'CANCELLED', stopReason: 'CANCELLED' });
    expect(store.getSnapshot()).toMatchObject({ canRetry: true, canContinue: true });
    await store.continue();
    expect(store.getSnapshot().status).toBe('QUEUED');
    server.answer(id).end(', two.');
    await until(store, isIdle);
    expect(texts(store)[1]).toBe('One, two.');
    expect(lastAnswer(store).parts).toHaveLength(1);
  });

  it('that has ended is not cancelled', async () => {
    server.seed('c1', 1);
    const store = await opened('c1');
    await store.cancel();
    expect(server.count('cancelTurn')).toBe(0);
    expect(store.getSnapshot().status).toBe('IDLE');
  });

  it('is made again by retry', async () => {
    server.seed('c1', 1);
    const store = await opened('c1');
    const retried = store.retry();
    expect(store.getSnapshot()).toMatchObject({ status: 'SENDING', canRetry: false });
    await retried;
    expect(store.getSnapshot().status).toBe('QUEUED');
    const answer = server.answer('c1');
    await until(store, () => texts(store)[1] === '');
    answer.text('Better');
    await until(store, () => texts(store)[1] === 'Better');
    answer.end('Better.');
    await until(store, isIdle);
    expect(texts(store)).toEqual(['Question 1', 'Better.']);
  });

  it('that has failed says why', async () => {
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id));
    answer.note('The model is busy.');
    const { note } = await until(store, (snapshot) => snapshot.note !== undefined);
    expect(note).toEqual({ text: 'The model is busy.', code: 'MODEL_BUSY' });
    answer.fail('Half of');
    const snapshot = await until(store, isIdle);
    expect(snapshot.note).toBeUndefined();
    expect(lastAnswer(store)).toMatchObject({ status: 'FAILED', failure: { code: 'MODEL_UNAVAILABLE' } });
    expect(textOf(lastAnswer(store))).toBe('Half of');
  });

  it('has citations with their places in the joined text', async () => {
    const citation = {
      number: 1,
      title: 'Guide',
      source: null,
      url: null,
      passage: 'P',
      score: null,
      page: null,
    };
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id));
    answer
      .calls('I look. ', { id: 't1', name: 'find', input: { number: 7 } })
      .results({ id: 't1', json: { x: 1 } });
    answer.text('Yes [1]', [{ ...citation, start: 4, end: 7 }]);
    await until(store, () => texts(store)[1] === 'I look. [find]Yes [1]');
    expect(lastAnswer(store).parts[2]).toMatchObject({ citations: [{ title: 'Guide', start: 4, end: 7 }] });
    answer.end('Yes [1]', 'MAX_TOKENS', [{ ...citation, start: 4, end: 7 }]);
    await until(store, isIdle);
    await store.continue();
    server
      .answer(String(store.getSnapshot().id))
      .end('No [1]', 'END_TURN', [{ ...citation, start: 3, end: 6 }]);
    await until(store, isIdle);
    const part = lastAnswer(store).parts[2];
    if (part?.type !== 'text') throw new Error('The third part is no text.');
    expect(part.text).toBe('Yes [1]No [1]');
    expect(part.citations.map(({ start, end }) => part.text.slice(start, end))).toEqual(['[1]', '[1]']);
    expect(part.citations.map(({ stored }) => stored?.index)).toEqual([0, 0]);
    expect(new Set(part.citations.map(({ stored }) => stored?.eventId)).size).toBe(2);
  });
});

describe('tool calls', () => {
  it('wait for an approval, and go on with it', async () => {
    const store = open();
    await store.send('Rename it');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const id = String(store.getSnapshot().id);
    const call = { id: 't1', name: 'rename' };
    server
      .answer(id)
      .calls('I rename.', { ...call, input: { title: 'New' } })
      .wait({ ...call, status: 'APPROVAL_NEEDED' });
    const { pending } = await until(store, ({ status }) => status === 'WAITING');
    expect(pending).toMatchObject([{ id: 't1', status: 'APPROVAL_NEEDED' }]);
    expect(lastAnswer(store)).toMatchObject({
      status: 'WAITING',
      parts: [
        { type: 'text' },
        { type: 'tool', input: { title: 'New' }, needs: 'APPROVAL', status: 'APPROVAL_NEEDED' },
      ],
    });
    await store.answerToolCall({ toolUseId: 't1', approved: true });
    expect(store.getSnapshot()).toMatchObject({ status: 'QUEUED', pending: [] });
    const answer = server.answer(id).results({ id: 't1', json: { title: 'New' } });
    await until(store, () => JSON.stringify(lastAnswer(store).parts[1]).includes('"result"'));
    expect(lastAnswer(store).parts[1]).toMatchObject({
      status: 'SUCCEEDED',
      result: { json: { title: 'New' } },
    });
    answer.end(' Done.');
    await until(store, isIdle);
    expect(texts(store)[1]).toBe('I rename.[rename] Done.');
  });

  it('of a turn that was cancelled have no result', async () => {
    const store = open();
    await store.send('Rename it');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const call = { id: 't1', name: 'rename' };
    server
      .answer(String(store.getSnapshot().id))
      .calls('', { ...call, input: {} })
      .wait({ ...call, status: 'APPROVAL_NEEDED' });
    await until(store, ({ status }) => status === 'WAITING');
    await store.cancel();
    await until(store, isIdle);
    expect(lastAnswer(store)).toMatchObject({
      status: 'CANCELLED',
      parts: [{ type: 'tool', status: 'UNKNOWN' }],
    });
  });
});

describe('edit', () => {
  it('shows the new message in place of the old turn, also while it is sent', async () => {
    server.seed('c1', 2);
    const store = await opened('c1');
    const edited = store.edit('c1-m2', 'Another question');
    expect(texts(store)).toEqual(['Question 1', 'Answer 1', 'Another question']);
    await edited;
    const { variables } = server.requests.findLast(({ operation }) => operation === 'sendMessage') ?? {};
    expect(variables).toMatchObject({ input: { replacesTurnId: 'c1-m2', text: 'Another question' } });
  });

  it('is seen by other clients, and after a reload', async () => {
    server.seed('c1', 2);
    const [store, other] = [await opened('c1'), await opened('c1')];
    await store.edit('c1-m2', 'Another question');
    server.answer('c1').end('Another answer.');
    const expected = ['Question 1', 'Answer 1', 'Another question', 'Another answer.'];
    await until(store, () => texts(store).at(-1) === 'Another answer.');
    await until(other, () => texts(other).at(-1) === 'Another answer.');
    expect(texts(store)).toEqual(expected);
    expect(texts(other)).toEqual(expected);
    expect(texts(await opened('c1'))).toEqual(expected);
  });

  it('that is refused can be taken back', async () => {
    server.seed('c1', 1);
    const store = await opened('c1');
    server.fail('sendMessage', 'NotLatestTurn');
    await expect(store.edit('c1-m1', 'Another')).rejects.toMatchObject({ code: 'NotLatestTurn' });
    expect(texts(store)).toEqual(['Another']);
    store.discard(lastQuestion(store).id);
    expect(texts(store)).toEqual(['Question 1', 'Answer 1']);
  });
});

describe('listeners', () => {
  it('are called once for updates that arrive together', async () => {
    const store = open();
    await store.send('Hello!');
    await until(store, ({ connection }) => connection === 'CONNECTED');
    const answer = server.answer(String(store.getSnapshot().id));
    await until(store, ({ status }) => status === 'RUNNING');
    const listener = vi.fn();
    store.subscribe(listener);
    for (let number = 0; number < 60; number++) answer.text('x');
    await until(store, () => textOf(lastAnswer(store)).length === 60);
    expect(listener.mock.calls.length).toBeLessThanOrEqual(2);
  });

  it('get the same snapshot while nothing changes, and the same messages while others change', async () => {
    server.seed('c1', 3);
    const store = await opened('c1');
    const before = store.getSnapshot();
    expect(store.getSnapshot()).toBe(before);
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    server.answer('c1').text('Yes');
    await until(store, () => texts(store).length === 8);
    const after = store.getSnapshot();
    expect(after).not.toBe(before);
    expect(before.messages.every((message, index) => message === after.messages[index])).toBe(true);
  });

  it('keep the store connected, which goes on without a gap when there is one again', async () => {
    server.seed('c1', 1);
    vi.useFakeTimers();
    const store = createConversation(createClientOf(server), { id: 'c1' });
    stores.push(store);
    expect(server.requests).toEqual([]);
    const unsubscribe = store.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(10);
    expect(server.subscriberCount).toBe(1);
    unsubscribe();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(server.subscriberCount).toBe(0);
    expect(store.getSnapshot().connection).toBe('CLOSED');
    await createClientOf(server).sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    server.answer('c1').end('Yes.');
    store.subscribe(() => undefined);
    await vi.advanceTimersByTimeAsync(10);
    expect(texts(store)).toEqual(['Question 1', 'Answer 1', 'More', 'Yes.']);
    vi.useRealTimers();
  });

  it('may dispose of the store, and are called once more at most', async () => {
    server.seed('c1', 1);
    vi.useFakeTimers();
    const store = createConversation(createClientOf(server), { id: 'c1' });
    const listener = vi.fn(() => {
      store.dispose();
    });
    store.subscribe(listener);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(listener.mock.calls.length).toBeLessThanOrEqual(2);
    expect(server.subscriberCount).toBe(0);
    vi.useRealTimers();
  });
});
