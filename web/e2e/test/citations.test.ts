import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../support/environment.js';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada'], knowledge: join(root, 'tests/knowledge/corpus') });

test('A citation opens its passage and its document', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation();
  await chat.ask('How long does the battery of the W2 last?');
  const citation = chat.lastAnswer.getByRole('button', { name: /Source 1/ }).first();
  await citation.click();
  const passage = chat.dialog(/./);
  expect(await passage.innerText()).toMatch(/battery/i);
  const [response] = await Promise.all([
    chat.page.context().waitForEvent('response', (response) => response.url().includes('/local-knowledge/')),
    passage.getByRole('button', { name: 'Open document' }).click(),
  ]);
  expect(response.status()).toBe(200);
});
