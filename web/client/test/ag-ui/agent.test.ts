import { EventType, type BaseEvent, type Message } from '@ag-ui/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ParlanceAgent } from '../../src/ag-ui/index.js';
import { createClientOf } from '../../src/client.js';
import { block, FakeServer } from '../support/fakeServer.js';

let server: FakeServer;
let agents: ParlanceAgent[];

beforeEach(() => {
  server = new FakeServer();
  agents = [];
});

afterEach(() => {
  for (const agent of agents) agent.close();
});

function newAgent(): ParlanceAgent {
  const agent = new ParlanceAgent(createClientOf(server), { threadId: 'c1' });
  agents.push(agent);
  return agent;
}

/** Starts a run, and tells its events as they come. */
function run(agent: ParlanceAgent, parameters: Parameters<ParlanceAgent['runAgent']>[0] = {}) {
  const events: BaseEvent[] = [];
  const onEvent = ({ event }: { event: BaseEvent }) => {
    events.push(event);
  };
  return { events, done: agent.runAgent(parameters, { onEvent }) };
}

const types = (events: readonly BaseEvent[]) => events.map(({ type }) => type);

async function ask(agent: ParlanceAgent, text = 'Hello!', id = 'm1') {
  agent.addMessage({ id, role: 'user', content: text });
  const started = run(agent);
  await expect.poll(() => server.count('sendMessage')).toBe(1);
  return { ...started, answer: server.answer('c1') };
}

function textOf({ messages }: ParlanceAgent): unknown[] {
  return messages.map((message: Message) => ('content' in message ? message.content : undefined));
}

describe('a run', () => {
  it('sends the message and tells of its answer', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer.text('Hi ');
    await expect.poll(() => textOf(agent)).toEqual(['Hello!', 'Hi ']);
    answer.end('Hi there.');
    await done;
    expect(types(events)).toEqual([
      EventType.RUN_STARTED,
      EventType.STEP_STARTED,
      EventType.TEXT_MESSAGE_START,
      EventType.TEXT_MESSAGE_CONTENT,
      EventType.TEXT_MESSAGE_CONTENT,
      EventType.TEXT_MESSAGE_END,
      EventType.STEP_FINISHED,
      EventType.RUN_FINISHED,
    ]);
    expect(events.at(-1)).toMatchObject({ threadId: 'c1', outcome: { type: 'success' } });
    expect(textOf(agent)).toEqual(['Hello!', 'Hi there.']);
  });

  it('tells of reasoning before the text', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer.reasoning('Hm.');
    await expect.poll(() => textOf(agent)).toEqual(['Hello!', 'Hm.']);
    answer.endWith([block({ reasoning: { text: 'Hm.', milliseconds: 10 } }), block({ text: 'Yes.' })]);
    await done;
    expect(types(events).slice(2, 8)).toEqual([
      EventType.REASONING_START,
      EventType.REASONING_MESSAGE_START,
      EventType.REASONING_MESSAGE_CONTENT,
      EventType.REASONING_MESSAGE_END,
      EventType.REASONING_END,
      EventType.TEXT_MESSAGE_START,
    ]);
    expect(agent.messages.map(({ role }) => role)).toEqual(['user', 'reasoning', 'assistant']);
  });

  it('that fails is an error, and the next one retries it', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer.fail('Half of');
    await done;
    expect(events.at(-1)).toMatchObject({ type: EventType.RUN_ERROR, code: 'MODEL_UNAVAILABLE' });
    agent.setMessages(agent.messages.slice(0, 1));
    const retried = run(agent);
    await expect.poll(() => server.count('retryTurn')).toBe(1);
    server.answer('c1').end('All of it.');
    await retried.done;
    expect(textOf(agent)).toEqual(['Hello!', 'All of it.']);
  });

  it('that is refused is an error', async () => {
    server.seed('c1', 1);
    server.fail('sendMessage', 'QuotaExceeded');
    const agent = newAgent();
    agent.addMessage({ id: 'm1', role: 'user', content: 'Hello!' });
    const { events, done } = run(agent);
    await done;
    expect(events.at(-1)).toMatchObject({ type: EventType.RUN_ERROR, code: 'QuotaExceeded' });
  });

  it('is cancelled by abortRun', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer.text('One');
    await expect.poll(() => textOf(agent)).toEqual(['Hello!', 'One']);
    agent.abortRun();
    await expect.poll(() => server.count('cancelTurn')).toBe(1);
    answer.end('One', 'CANCELLED');
    await done;
    expect(events.at(-1)).toMatchObject({ type: EventType.RUN_FINISHED, outcome: { type: 'cancelled' } });
  });

  it('takes back the text of an attempt that another one replaces', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer
      .calls('I look.', { id: 't1', name: 'find', input: {} })
      .results({ id: 't1', json: 7 })
      .text('I will ne');
    await expect.poll(() => textOf(agent).at(-1)).toBe('I will ne');
    const second = server.answer('c1').text('It is');
    await expect.poll(() => textOf(agent).at(-1)).toBe('It is');
    second.end('It is 7.');
    await done;
    expect(types(events)).toContain(EventType.MESSAGES_SNAPSHOT);
    expect(textOf(agent)).toEqual(['Hello!', 'I look.', '7', 'It is 7.']);
    expect(agent.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
  });
});

describe('tool calls', () => {
  it('of the backend have results', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    answer
      .calls(
        'I look.',
        { id: 't1', name: 'find', input: { number: 7 } },
        { id: 't2', name: 'find', input: {} },
      )
      .results({ id: 't1', json: { state: 'new' } }, { id: 't2', text: 'There is none.' })
      .end('It is new.');
    await done;
    expect(types(events).filter((type) => type.startsWith('STEP') || type.startsWith('TOOL'))).toEqual([
      EventType.STEP_STARTED,
      EventType.TOOL_CALL_START,
      EventType.TOOL_CALL_ARGS,
      EventType.TOOL_CALL_END,
      EventType.TOOL_CALL_START,
      EventType.TOOL_CALL_ARGS,
      EventType.TOOL_CALL_END,
      EventType.TOOL_CALL_RESULT,
      EventType.TOOL_CALL_RESULT,
      EventType.STEP_FINISHED,
      EventType.STEP_STARTED,
      EventType.STEP_FINISHED,
    ]);
    expect(agent.messages[1]).toMatchObject({
      content: 'I look.',
      toolCalls: [{ id: 't1', function: { name: 'find', arguments: '{"number":7}' } }, { id: 't2' }],
    });
    expect(textOf(agent).slice(2)).toEqual(['{"state":"new"}', 'There is none.', 'It is new.']);
  });

  it.each([true, false])('interrupt the run for an approval: %s', async (approved) => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    const call = { id: 't1', name: 'rename' };
    answer.calls('', { ...call, input: {} }).wait({ ...call, status: 'APPROVAL_NEEDED' });
    await done;
    expect(events.at(-1)).toMatchObject({
      outcome: { type: 'interrupt', interrupts: [{ id: 't1', toolCallId: 't1' }] },
    });
    const resumed = run(agent, {
      resume: [{ interruptId: 't1', status: 'resolved', payload: { approved } }],
    });
    await expect.poll(() => server.count('answerToolCall')).toBe(1);
    server.answer('c1').results({ id: 't1', json: {} }).end('Done.');
    await resumed.done;
    const { variables } = server.requests.findLast(({ operation }) => operation === 'answerToolCall') ?? {};
    expect(variables).toMatchObject({ input: { toolUseId: 't1', approved } });
    expect(types(resumed.events)).toContain(EventType.TOOL_CALL_RESULT);
    expect(textOf(agent).slice(1)).toEqual([undefined, '{}', 'Done.']);
  });

  it('of this page are answered by its messages', async () => {
    const agent = newAgent();
    const { events, done, answer } = await ask(agent);
    const call = { id: 't1', name: 'color' };
    answer.calls('', { ...call, input: {} }).wait({ ...call, status: 'CLIENT_NEEDED' });
    await done;
    expect(events.at(-1)).toMatchObject({ outcome: { type: 'success', pendingToolCallIds: ['t1'] } });
    agent.addMessage({ id: 'r1', role: 'tool', toolCallId: 't1', content: '{"color":"red"}' });
    const next = run(agent);
    await expect.poll(() => server.count('answerToolCall')).toBe(1);
    const { variables } = server.requests.findLast(({ operation }) => operation === 'answerToolCall') ?? {};
    expect(variables).toMatchObject({ input: { toolUseId: 't1', result: '{"color":"red"}' } });
    server
      .answer('c1')
      .results({ id: 't1', json: { color: 'red' } })
      .end('It is red.');
    await next.done;
    expect(textOf(agent).at(-1)).toBe('It is red.');
  });
});

describe('connectAgent', () => {
  it('reads the conversation', async () => {
    server.seed('c1', 2);
    const agent = newAgent();
    await agent.connectAgent();
    expect(textOf(agent)).toEqual(['Question 1', 'Answer 1', 'Question 2', 'Answer 2']);
  });

  it('takes up the answer that is being made', async () => {
    const before = newAgent();
    const { answer } = await ask(before);
    answer.text('One, ');
    await expect.poll(() => textOf(before)).toEqual(['Hello!', 'One, ']);
    await before.detachActiveRun();
    const agent = newAgent();
    const connected = agent.connectAgent();
    await expect.poll(() => textOf(agent)).toEqual(['Hello!', 'One, ']);
    answer.end('One, two.');
    await connected;
    expect(textOf(agent)).toEqual(['Hello!', 'One, two.']);
    expect(server.count('cancelTurn')).toBe(0);
  });
});
