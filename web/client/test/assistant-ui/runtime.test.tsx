// @vitest-environment jsdom
import { AssistantRuntimeProvider, type AssistantRuntime } from '@assistant-ui/react';
import { useEffect } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useParlanceRuntime, type ParlanceRuntimeOptions } from '../../src/assistant-ui/index.js';
import { createClientOf, type Client } from '../../src/index.js';
import { FakeServer } from '../support/fakeServer.js';

let server: FakeServer;
let client: Client;
let root: Root;
let runtime: AssistantRuntime;

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false });
  server = new FakeServer();
  server.seed('c1', 1);
  client = createClientOf(server);
  root = createRoot(document.createElement('div'));
});

afterEach(() => {
  root.unmount();
});

function Page({ options }: { options: ParlanceRuntimeOptions }) {
  const current = useParlanceRuntime(client, options);
  useEffect(() => {
    runtime = current;
  }, [current]);
  return <AssistantRuntimeProvider runtime={current}>{null}</AssistantRuntimeProvider>;
}

async function open(options: ParlanceRuntimeOptions = {}) {
  root.render(<Page options={{ conversationId: 'c1', ...options }} />);
  await expect.poll(() => server.subscriberCount).toBe(1);
  await expect.poll(() => texts()).toEqual(['Question 1', 'Answer 1']);
}

const messages = () => runtime.thread.getState().messages;

function texts(): string[] {
  return messages().map(({ content }) =>
    content.map((part) => (part.type === 'text' ? part.text : '')).join(''),
  );
}

describe('useParlanceRuntime', () => {
  it('shows messages, sends, and tells that an answer is made', async () => {
    await open();
    runtime.thread.append('More');
    await expect.poll(() => server.count('sendMessage')).toBe(1);
    const answer = server.answer('c1').text('Ye');
    await expect.poll(texts).toEqual(['Question 1', 'Answer 1', 'More', 'Ye']);
    expect(runtime.thread.getState().isRunning).toBe(true);
    answer.end('Yes.');
    await expect.poll(() => runtime.thread.getState().isRunning).toBe(false);
    expect(texts().at(-1)).toBe('Yes.');
    expect(messages().at(-1)?.status).toEqual({ type: 'complete', reason: 'stop' });
  });

  it('cancels and reloads', async () => {
    await open();
    runtime.thread.append('More');
    await expect.poll(() => server.count('sendMessage')).toBe(1);
    const answer = server.answer('c1').text('Ye');
    await expect.poll(() => texts().at(-1)).toBe('Ye');
    runtime.thread.cancelRun();
    await expect.poll(() => server.count('cancelTurn')).toBe(1);
    answer.end('Ye', 'CANCELLED');
    await expect.poll(() => messages().at(-1)?.status).toEqual({ type: 'incomplete', reason: 'cancelled' });
    runtime.thread.getMessageByIndex(3).reload();
    await expect.poll(() => server.count('retryTurn')).toBe(1);
    server.answer('c1').end('Yes.');
    await expect.poll(() => texts().at(-1)).toBe('Yes.');
  });

  it('edits the newest message', async () => {
    await open();
    const composer = runtime.thread.getMessageByIndex(0).composer;
    composer.beginEdit();
    composer.setText('Another question');
    composer.send();
    await expect.poll(() => server.count('sendMessage')).toBe(1);
    const { variables } = server.requests.findLast(({ operation }) => operation === 'sendMessage') ?? {};
    expect(variables).toMatchObject({ input: { replacesTurnId: 'c1-m1', text: 'Another question' } });
    server.answer('c1').end('Another answer.');
    await expect.poll(texts).toEqual(['Another question', 'Another answer.']);
  });

  it('shows tool calls and sends approvals and results', async () => {
    await open();
    runtime.thread.append('Rename it');
    await expect.poll(() => server.count('sendMessage')).toBe(1);
    const calls = [
      { id: 't1', name: 'rename', status: 'APPROVAL_NEEDED' },
      { id: 't2', name: 'color', status: 'CLIENT_NEEDED' },
    ] as const;
    server
      .answer('c1')
      .calls('', ...calls.map((call) => ({ ...call, input: { x: 1 } })))
      .wait(...calls);
    await expect.poll(() => messages().at(-1)?.status).toMatchObject({ type: 'requires-action' });
    expect(messages().at(-1)?.content).toMatchObject([
      { type: 'tool-call', toolName: 'rename', args: { x: 1 }, approval: { id: 't1' } },
      { type: 'tool-call', toolName: 'color' },
    ]);
    const message = runtime.thread.getMessageByIndex(3);
    void message.getMessagePartByIndex(0).respondToToolApproval({ approved: true });
    message.getMessagePartByIndex(1).addToolResult({ color: 'red' });
    await expect.poll(() => server.count('answerToolCall')).toBe(2);
    const inputs = server.requests
      .filter(({ operation }) => operation === 'answerToolCall')
      .map(({ variables }) => variables['input']);
    expect(inputs).toMatchObject([
      { toolUseId: 't1', approved: true },
      { toolUseId: 't2', result: '{"color":"red"}' },
    ]);
  });

  it('has the conversations as threads', async () => {
    server.seed('c2', 0);
    const chosen: (string | undefined)[] = [];
    await open({ onConversationChange: (id) => chosen.push(id) });
    await expect.poll(() => runtime.threads.getState().threadIds).toEqual(['c2', 'c1']);
    await runtime.threads.switchToThread('c2');
    await runtime.threads.switchToNewThread();
    expect(chosen).toEqual(['c2', undefined]);
  });
});
