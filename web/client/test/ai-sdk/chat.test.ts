import {
  AbstractChat,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
  type ChatInit,
  type ChatState,
  type ChatStatus,
} from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createChatTransport,
  type ParlanceChatTransport,
  type ParlanceUIMessage,
} from '../../src/ai-sdk/index.js';
import { createClientOf } from '../../src/client.js';
import { block, FakeServer } from '../support/fakeServer.js';

/** The state of a chat without a framework, which tells of each change. */
class State implements ChatState<ParlanceUIMessage> {
  #status: ChatStatus = 'ready';
  #messages: ParlanceUIMessage[];
  error: Error | undefined;
  readonly listeners = new Set<() => void>();

  constructor(messages: ParlanceUIMessage[] = []) {
    this.#messages = messages;
  }
  get status() {
    return this.#status;
  }
  set status(status) {
    this.#status = status;
    this.#notify();
  }
  get messages() {
    return this.#messages;
  }
  set messages(messages) {
    this.#messages = messages;
    this.#notify();
  }
  pushMessage = (message: ParlanceUIMessage) => {
    this.messages = [...this.#messages, structuredClone(message)];
  };
  popMessage = () => {
    this.messages = this.#messages.slice(0, -1);
  };
  replaceMessage = (index: number, message: ParlanceUIMessage) => {
    this.messages = this.#messages.with(index, structuredClone(message));
  };
  snapshot = <T>(value: T): T => structuredClone(value);

  #notify(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

class Chat extends AbstractChat<ParlanceUIMessage> {
  override readonly state: State;

  constructor({ messages, ...init }: ChatInit<ParlanceUIMessage>) {
    const state = new State(messages);
    super({ ...init, state });
    this.state = state;
  }

  until(isTrue: (chat: Chat) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isTrue(this)) return;
        this.state.listeners.delete(check);
        resolve();
      };
      this.state.listeners.add(check);
      check();
    });
  }

  get text(): string {
    return (this.lastMessage?.parts ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
  }

  get partTypes(): string[] {
    return (this.lastMessage?.parts ?? []).map((part) =>
      'state' in part ? `${part.type} ${part.state}` : part.type,
    );
  }
}

let server: FakeServer;
let transport: ParlanceChatTransport;

beforeEach(() => {
  server = new FakeServer();
  transport = createChatTransport(createClientOf(server));
});

afterEach(() => {
  transport.close();
});

function newChat(init: Partial<ChatInit<ParlanceUIMessage>> = {}): Chat {
  return new Chat({ id: 'c1', transport, ...init });
}

/** Sends a message, and returns the handler that answers it. */
async function ask(chat: Chat, text = 'Hello!') {
  const sent = chat.sendMessage({ text });
  await expect.poll(() => server.count('sendMessage')).toBe(1);
  return { sent, answer: server.answer('c1') };
}

describe('a message', () => {
  it('creates the conversation and streams its answer', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.text('Hi ').text('there');
    await chat.until(({ text }) => text === 'Hi there');
    expect(chat.status).toBe('streaming');
    answer.end('Hi there.');
    await sent;
    expect(chat.status).toBe('ready');
    expect(chat.text).toBe('Hi there.');
    expect(chat.partTypes).toEqual(['step-start', 'text done']);
    expect(chat.lastMessage?.metadata).toMatchObject({
      turnId: chat.messages[0]?.id,
      usage: { totalTokens: 15 },
    });
    expect(server.stored('c1').events.map(({ text }) => text)).toEqual(['Hello!', 'Hi there.']);
  });

  it('of an existing conversation continues it', async () => {
    server.seed('c1', 1);
    const chat = newChat({ messages: await transport.loadMessages('c1') });
    expect(chat.text).toBe('Answer 1');
    const { sent, answer } = await ask(chat, 'More');
    answer.end('Yes.');
    await sent;
    expect(chat.messages).toHaveLength(4);
  });

  it('that is refused is an error', async () => {
    server.seed('c1', 1);
    server.fail('sendMessage', 'QuotaExceeded');
    const chat = newChat({ messages: await transport.loadMessages('c1') });
    await chat.sendMessage({ text: 'More' });
    expect(chat.status).toBe('error');
    expect(chat.error).toMatchObject({ code: 'QuotaExceeded' });
  });

  it('that is edited replaces the turn', async () => {
    server.seed('c1', 1);
    const chat = newChat({ messages: await transport.loadMessages('c1') });
    const sent = chat.sendMessage({ text: 'Another', messageId: 'c1-m1' });
    await chat.until(({ status }) => status === 'submitted');
    await chat.until(() => server.count('sendMessage') === 1 && chat.messages.length === 2);
    const { variables } = server.requests.findLast(({ operation }) => operation === 'sendMessage') ?? {};
    expect(variables).toMatchObject({ input: { text: 'Another', replacesTurnId: 'c1-m1' } });
    server.answer('c1').end('Another answer.');
    await sent;
    expect(chat.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
    expect(chat.text).toBe('Another answer.');
  });
});

describe('an answer', () => {
  it('that another attempt replaces is taken back by reset-step', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.text('I will ne');
    await chat.until(({ text }) => text === 'I will ne');
    const second = server.answer('c1').text('Again');
    await chat.until(({ text }) => text === 'Again');
    second.end('Again.');
    await sent;
    expect(chat.partTypes).toEqual(['step-start', 'text done']);
    expect(chat.text).toBe('Again.');
  });

  it('has its reasoning before it, unless the model does not show it', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.reasoning('Hm.');
    await chat.until(({ partTypes }) => partTypes.includes('reasoning streaming'));
    answer.update({ agentPartialMessage: 'Yes', contentBlockIndex: 1 });
    await chat.until(({ text }) => text === 'Yes');
    answer.endWith([
      block({ reasoning: { text: 'Hm.', milliseconds: 10 } }),
      block({ text: 'Yes.' }),
      block({ reasoning: { text: '', milliseconds: 10 } }),
    ]);
    await sent;
    expect(chat.partTypes).toEqual(['step-start', 'reasoning done', 'text done']);
    expect(chat.lastMessage?.parts[1]).toMatchObject({ type: 'reasoning', text: 'Hm.' });
  });

  it('that failed is an error, and regenerate retries it', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.fail('Half of');
    await sent;
    expect(chat.status).toBe('error');
    expect(chat.error?.message).toBe('The model is not there.');
    const retried = chat.regenerate();
    await expect.poll(() => server.count('retryTurn')).toBe(1);
    await chat.until(({ messages }) => messages.length === 2);
    expect(chat.text).toBe('');
    server.answer('c1').end('All of it.');
    await retried;
    expect(chat.text).toBe('All of it.');
    expect(chat.status).toBe('ready');
  });

  it('is cancelled by stop', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.text('One');
    await chat.until(({ text }) => text === 'One');
    await chat.stop();
    await sent;
    await expect.poll(() => server.stored('c1').turns.get(answer.turnId)?.turn.status).toBe('CANCELLING');
    expect(chat.text).toBe('One');
  });

  it('goes on after a reload', async () => {
    const before = newChat();
    const { answer } = await ask(before);
    answer.text('One, ');
    await before.until(({ text }) => text === 'One, ');
    const other = createChatTransport(createClientOf(server));
    const chat = newChat({ transport: other, messages: await other.loadMessages('c1') });
    const first = chat.resumeStream();
    const resumed = chat.resumeStream();
    await chat.until(({ text, status }) => text === 'One, ' && status === 'streaming');
    answer.text('two');
    await chat.until(({ text }) => text === 'One, two');
    answer.end('One, two.');
    await Promise.all([first, resumed]);
    expect(chat.messages).toHaveLength(2);
    expect(chat.text).toBe('One, two.');
    expect(server.count('cancelTurn')).toBe(0);
    await chat.resumeStream();
    expect(chat.status).toBe('ready');
    other.close();
  });

  it('has its sources', async () => {
    const citation = {
      number: 1,
      title: 'Guide',
      source: 's3://a/b',
      passage: 'P',
      score: null,
      page: 2,
      start: 4,
      end: 7,
    };
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.end('Yes [1] and [1]', 'END_TURN', [
      { ...citation, url: null },
      { ...citation, url: null, start: 12, end: 15 },
    ]);
    await sent;
    expect(chat.lastMessage?.parts.slice(2)).toMatchObject([{ type: 'source-document', title: 'Guide' }]);
  });
});

describe('tool calls', () => {
  it('of the backend are shown with their results', async () => {
    const chat = newChat();
    const { sent, answer } = await ask(chat);
    answer.calls(
      'I look. ',
      { id: 't1', name: 'find', input: { number: 7 } },
      { id: 't2', name: 'find', input: {} },
    );
    await chat.until(({ partTypes }) => partTypes.includes('tool-find input-available'));
    answer
      .results({ id: 't1', json: { state: 'new' } }, { id: 't2', text: 'There is none.' })
      .end('It is new.');
    await sent;
    expect(chat.lastMessage?.parts).toMatchObject([
      { type: 'step-start' },
      { type: 'text', text: 'I look. ' },
      {
        type: 'tool-find',
        state: 'output-available',
        input: { number: 7 },
        output: { state: 'new' },
        providerExecuted: true,
      },
      { type: 'tool-find', state: 'output-error', errorText: 'There is none.' },
      { type: 'step-start' },
      { type: 'text', text: 'It is new.' },
    ]);
    const loaded = await transport.loadMessages('c1');
    expect(loaded.at(-1)?.parts).toEqual(chat.lastMessage?.parts);
  });

  it.each([true, false])('wait for an approval: %s', async (approved) => {
    const chat = newChat({ sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
    const { sent, answer } = await ask(chat);
    answer
      .calls('', { id: 't1', name: 'rename', input: {} })
      .wait({ id: 't1', name: 'rename', status: 'APPROVAL_NEEDED' });
    await sent;
    expect(chat.partTypes).toEqual(['step-start', 'tool-rename approval-requested']);
    await chat.addToolApprovalResponse({ id: 't1', approved });
    await expect.poll(() => server.count('answerToolCall')).toBe(1);
    const { variables } = server.requests.findLast(({ operation }) => operation === 'answerToolCall') ?? {};
    expect(variables).toMatchObject({ input: { toolUseId: 't1', approved } });
    const next = server.answer('c1');
    if (approved) next.results({ id: 't1', json: {} });
    next.end('Done.');
    await chat.until(({ text, status }) => text !== '' && status === 'ready');
    expect(chat.text).toBe('Done.');
    expect(chat.messages).toHaveLength(2);
  });

  it('of this page are run by onToolCall', async () => {
    const chat: Chat = newChat({
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall: ({ toolCall }) => {
        void chat.addToolOutput({
          tool: toolCall.toolName,
          toolCallId: toolCall.toolCallId,
          output: { color: 'red' },
        });
      },
    });
    const { answer } = await ask(chat);
    answer
      .calls('', { id: 't1', name: 'color', input: {} })
      .wait({ id: 't1', name: 'color', status: 'CLIENT_NEEDED' });
    await expect.poll(() => server.count('answerToolCall')).toBe(1);
    const { variables } = server.requests.findLast(({ operation }) => operation === 'answerToolCall') ?? {};
    expect(variables).toMatchObject({ input: { toolUseId: 't1', result: '{"color":"red"}' } });
    server
      .answer('c1')
      .results({ id: 't1', json: { color: 'red' } })
      .end('It is red.');
    await chat.until(({ text, status }) => text !== '' && status === 'ready');
    expect(chat.text).toBe('It is red.');
    expect(server.count('answerToolCall')).toBe(1);
  });
});
