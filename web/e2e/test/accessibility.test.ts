import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';

const suite = createSuite({
  users: ['ada:administrators', 'bob'],
  oidc: true,
  parameters: { MessagesPerMinute: '0' },
});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const ALL_BLOCKS = [
  '# Title',
  'A [link](https://example.com), **bold**, `code` and $x^2$.',
  '- one\n- two',
  '> quoted',
  '| a | b |\n|---|---|\n| 1 | 2 |',
  '```js\nconst answer = 42; // a comment\n```',
  '![A cat](https://example.com/cat.png)',
].join('\n\n');

const tool = {
  name: 'page_title',
  description: 'The title of the page.',
  inputSchema: '{"type":"object"}',
  client: true,
};

const ids = { blocks: '', failed: '', waiting: '', reasoned: '' };

beforeAll(async () => {
  const api = await suite.apiOf('ada');
  await api.putAgent({ id: 'echo', modelId: 'parlance.echo' });
  await api.putAgent({ id: 'failing', modelId: 'parlance.forbidden' });
  await api.putAgent({ id: 'asking', modelId: 'parlance.any', tools: [tool] });
  ids.blocks = await api.createConversation({ title: 'All blocks', agentId: 'echo' });
  await api.ask(ids.blocks, ALL_BLOCKS);
  await api.putAgent({ id: 'thinker', modelId: 'parlance.reasoning' });
  ids.reasoned = await api.createConversation({ title: 'Reasoned', agentId: 'thinker' });
  await api.ask(ids.reasoned, 'Hello!');
  ids.failed = await api.createConversation({ title: 'Failed', agentId: 'failing' });
  await api.ask(ids.failed, 'Hello!');
  ids.waiting = await api.createConversation({ title: 'Waiting', agentId: 'asking' });
  await api.sendMessage(ids.waiting, 'call page_title');
});

async function expectNoViolations(chat: ChatPage): Promise<void> {
  // An evaluation from outside is not subject to the page's Content-Security-Policy.
  await chat.page.evaluate(axe);
  const results = await chat.page.evaluate(() =>
    (window as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run(),
  );
  const violations = results.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => ({ id, help, html, failureSummary })),
  );
  expect(violations).toEqual([]);
  expect(results.passes.length).toBeGreaterThan(10);
}

/** What fades in has its colors only at the end. */
const STILL = { reducedMotion: 'reduce' as const };
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

describe.each([
  ['light', { ...STILL, colorScheme: 'light' as const }],
  ['dark', { ...STILL, colorScheme: 'dark' as const }],
  ['light, on a phone', { ...STILL, ...PHONE, colorScheme: 'light' as const }],
])('axe finds nothing: %s', (_name, options) => {
  test('sign-in', async () => {
    const chat = await suite.open('', options);
    await chat.button('Sign in as a user').waitFor();
    await expectNoViolations(chat);
  });

  test('new conversation', async () => {
    const chat = await suite.signIn('ada', '', options);
    await chat.composer.waitFor();
    await expectNoViolations(chat);
  });

  test('conversation with all blocks', async () => {
    const chat = await suite.signIn('ada', `#/c/${ids.blocks}`, options);
    await chat.waitForText('quoted');
    await expectNoViolations(chat);
  });

  test('reasoning and tokens, unfolded', async () => {
    const chat = await suite.signIn('ada', `#/c/${ids.reasoned}`, options);
    await chat.lastAnswer.getByRole('button', { name: /^Thought/ }).click();
    await chat.lastAnswer.getByRole('button', { name: /tokens$/ }).click();
    await chat.lastAnswer.getByText(/reasoning included/).waitFor();
    await expectNoViolations(chat);
    await chat.expectNoHorizontalScroll();
  });

  test('failed answer', async () => {
    const chat = await suite.signIn('ada', `#/c/${ids.failed}`, options);
    await chat.button('Retry').waitFor();
    await expectNoViolations(chat);
  });

  test('call that waits', async () => {
    const chat = await suite.signIn('ada', `#/c/${ids.waiting}`, options);
    await chat.button('Send result').waitFor();
    await expectNoViolations(chat);
  });

  test('dialogs', async () => {
    const chat = await suite.signIn('ada', `#/c/${ids.blocks}`, options);
    await chat.waitForText('quoted');
    for (const name of ['Rename', 'Share', 'Delete']) {
      await chat.button('Options of the conversation').click();
      await chat.page.getByRole('menuitem', { name }).waitFor();
      await expectNoViolations(chat);
      await chat.page.getByRole('menuitem', { name }).click();
      await chat.page.getByRole('dialog').or(chat.page.getByRole('alertdialog')).waitFor();
      await expectNoViolations(chat);
      await chat.page.keyboard.press('Escape');
    }
    await chat.page.keyboard.press('Control+/');
    await chat.dialog(/shortcuts/i).waitFor();
    await expectNoViolations(chat);
  });

  test('agents', async () => {
    const chat = await suite.signIn('ada', '#/agents', options);
    await chat.page.getByText('asking').first().waitFor();
    await expectNoViolations(chat);
    await chat.button('New agent').click();
    await chat.button('Add a tool').click();
    await chat.page.getByText('Choose from the models of this deployment').click();
    await chat.page.getByRole('list', { name: 'Models' }).waitFor();
    await expectNoViolations(chat);
  });
});
