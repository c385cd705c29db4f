import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { auditAnswers } from '../support/audit.js';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';
import { traceMainThread } from '../support/trace.js';

interface Payload {
  name: string;
  /** A text, or its parts: a text, or one with the number of its repetitions. */
  text: string | (string | [string, number])[];
}

// The model answers with the message, so each payload is shown as a message, as a streamed answer and as a
// stored one.
const suite = createSuite({
  users: ['ada:administrators'],
  parameters: { ModelId: 'parlance.echo', MessagesPerMinute: '0' },
});

const PAYLOADS_PER_PAGE = 10;
const LONGEST_TASK_MILLISECONDS = 1_000;

const file = resolve(import.meta.dirname, '../hostile.json');
const payloads = JSON.parse(readFileSync(file, 'utf8')) as Payload[];

const textOf = ({ text }: Payload) =>
  typeof text === 'string'
    ? text
    : text.map((part) => (typeof part === 'string' ? part : part[0].repeat(part[1]))).join('');

async function expectHarmless(chat: ChatPage, name: string, address: string): Promise<void> {
  expect({ name, found: await auditAnswers(chat.page) }).toEqual({ name, found: [] });
  expect({ name, problems: chat.problems.found }).toEqual({ name, problems: [] });
  expect({ name, address: chat.page.url(), pages: chat.page.context().pages().length }).toEqual({
    name,
    address,
    pages: 1,
  });
}

const pages = Array.from({ length: Math.ceil(payloads.length / PAYLOADS_PER_PAGE) }, (_, index) => index);

describe.each(pages)('Hostile answers, page %i', (index) => {
  const here = payloads.slice(index * PAYLOADS_PER_PAGE, (index + 1) * PAYLOADS_PER_PAGE);

  test('nothing runs, nothing is loaded, nothing leads away', { timeout: 240_000 }, async () => {
    const conversationId = await suite.api.createConversation();
    const chat = await suite.signInWithKey(`#/c/${conversationId}`);
    const address = chat.page.url();
    for (const [number, payload] of here.entries()) {
      const marker = `payload ${index}-${number}`;
      await suite.api.sendMessage(conversationId, `${textOf(payload)}\n\n${marker}`);
      await chat.questions.filter({ hasText: marker }).waitFor({ timeout: 60_000 });
      await chat.waitForEnd();
      await expectHarmless(chat, payload.name, address);
      await chat.composer.fill(marker);
      expect(await chat.composer.inputValue()).toBe(marker);
    }
    await chat.page.reload();
    await chat.waitForEnd();
    await expectHarmless(chat, 'after a reload', address);
  });
});

test('No answer blocks the page', { timeout: 240_000 }, async () => {
  const conversationId = await suite.api.createConversation();
  const chat = await suite.signInWithKey(`#/c/${conversationId}`);
  const large = payloads.filter(({ text }) => typeof text !== 'string');
  expect(large.length).toBeGreaterThan(5);
  for (const payload of large) {
    const { tasks } = await traceMainThread(suite.browser, chat.page, async () => {
      await suite.api.sendMessage(conversationId, `${textOf(payload)}\n\n${payload.name}`);
      await chat.questions.filter({ hasText: payload.name }).waitFor({ timeout: 60_000 });
      await chat.waitForEnd();
    });
    console.log(`${payload.name}: longest task ${(tasks[0] ?? 0).toFixed(0)} ms`);
    expect(tasks[0] ?? 0, payload.name).toBeLessThan(LONGEST_TASK_MILLISECONDS);
  }
});

describe('Hostile names', () => {
  const hostile = '<img src=x onerror="globalThis.ran=1"> [x](javascript:alert(1))';
  const tool = {
    name: 'hostile_tool',
    title: hostile.slice(0, 60),
    description: 'Returns what the page says.',
    inputSchema: '{"type":"object"}',
    effect: 'READ',
    client: true,
  };

  beforeAll(async () => {
    const administrator = await suite.apiOf('ada');
    await administrator.putAgent({
      id: 'hostile',
      name: hostile.slice(0, 60),
      modelId: 'parlance.any',
      tools: [tool],
    });
  });

  test('a title, an agent, a tool, its arguments and its result are text', async () => {
    const api = await suite.apiOf('ada');
    const conversationId = await api.createConversation({ title: hostile, agentId: 'hostile' });
    const chat = await suite.signIn('ada', `#/c/${conversationId}`);
    await chat.send(`call hostile_tool with ${JSON.stringify({ argument: hostile })}`);
    await chat.page.getByRole('textbox', { name: /Result/ }).fill(JSON.stringify({ result: hostile }));
    await chat.button('Send result').click();
    await chat.waitForText('The tool hostile_tool returned');
    await chat.waitForEnd();
    await expectHarmless(chat, 'names', chat.page.url());
  });
});
