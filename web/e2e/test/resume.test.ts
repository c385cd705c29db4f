import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { answerText } from '../support/api.js';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';
import { until } from '../support/until.js';

const suite = createSuite({ users: ['ada:administrators'], proxied: true });

const OFFLINE_MILLISECONDS = 20_000;

beforeAll(async () => {
  const administrator = await suite.apiOf('ada');
  await administrator.putAgent({ id: 'counter', modelId: 'parlance.deltas-500-20' });
  // Still answering when the connection is back.
  await administrator.putAgent({ id: 'long-counter', modelId: 'parlance.deltas-1500-20' });
});

/** At the end the page shows the stored text: every word, once. */
async function expectStoredText(chat: ChatPage): Promise<void> {
  const api = await suite.apiOf('ada');
  const conversationId = await chat.conversationId();
  const { id } = await api.lastTurn(conversationId);
  const turn = await api.endOf(conversationId, id);
  expect(turn.status).toBe('COMPLETED');
  await chat.waitForEnd();
  expect((await chat.answerText()).trim()).toBe(answerText(turn).trim());
}

test('An answer goes on after a reload, without a gap', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('counter');
  await chat.send('Count, please.');
  await chat.waitForText(/0050/);
  await chat.page.reload();
  await chat.waitForText(/0050/);
  expect(await chat.answerText()).not.toContain('0500');
  await expectStoredText(chat);
});

test('An answer goes on after 20 seconds without a network', { timeout: 120_000 }, async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('long-counter');
  await chat.send('Count, please.');
  await chat.waitForText(/0050/);

  chat.problems.expect(/net::ERR_|WebSocket connection/);
  suite.proxy?.cut();
  await chat.page.context().setOffline(true);
  await chat.connectionBanner.waitFor();
  const textBefore = await chat.answerText();
  // The time of the scenario, not a wait for something.
  await delay(OFFLINE_MILLISECONDS);
  expect(await chat.answerText()).toBe(textBefore);
  suite.proxy?.restore();
  await chat.page.context().setOffline(false);

  await chat.connectionBanner.waitFor({ state: 'hidden', timeout: 30_000 });
  await until('the text goes on', async () => (await chat.answerText()).length > textBefore.length);
  expect(await chat.answerText()).toContain(textBefore.trim());
  await expectStoredText(chat);
});

test('A connection that breaks is made again, and says so meanwhile', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('counter');
  await chat.send('Count, please.');
  await chat.waitForText(/0050/);
  chat.problems.expect(/net::ERR_|WebSocket connection/);
  suite.proxy?.cut();
  await chat.connectionBanner.waitFor();
  suite.proxy?.restore();
  await chat.connectionBanner.waitFor({ state: 'hidden', timeout: 30_000 });
  await expectStoredText(chat);
});

test('A message that is sent without a network is sent when it is back', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('counter');
  await chat.ask('First');
  chat.problems.expect(/net::ERR_|WebSocket connection/);
  suite.proxy?.cut();
  await chat.send('Second');
  await chat.questions.filter({ hasText: 'Second' }).waitFor();
  suite.proxy?.restore();
  await expect.poll(() => chat.answers.count(), { timeout: 45_000 }).toBe(2);
  await expectStoredText(chat);
  // Not what is drawn: the list draws only what is near the visible part.
  const api = await suite.apiOf('ada');
  expect(await api.questions(await chat.conversationId())).toEqual(['First', 'Second']);
});

test('Two tabs stay in step', async () => {
  const one = await suite.signIn('ada');
  await one.startConversation('counter');
  await one.ask('First');
  const other = await suite.openTabOf(one, `#/c/${await one.conversationId()}`);
  await other.waitForText(/0500/);

  await one.send('Typed in one tab');
  await other.questions.filter({ hasText: 'Typed in one tab' }).waitFor();
  await expect.poll(() => other.answers.count()).toBe(2);
  await other.stop.click();
  await one.waitForText(/stopped/i);
  await one.waitForEnd();
  await other.waitForEnd();
  expect(await one.answerText()).toBe(await other.answerText());
});
