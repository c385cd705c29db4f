import { expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada:administrators', 'bob'] });

test('An administrator puts an agent with a tool and uses it', async () => {
  const chat = await suite.signIn('ada');
  await chat.page.getByRole('link', { name: 'Agents' }).click();
  await chat.button('New agent').click();
  const form = chat.page.getByRole('form', { name: 'New agent' });
  await form.getByLabel('Id', { exact: true }).fill('lister');
  await form.getByLabel('Model', { exact: true }).fill('parlance.any');
  await form.getByLabel('System prompt').fill('You list conversations.');
  await form.getByRole('button', { name: 'Add a tool' }).click();
  await form.getByLabel('Name of the tool').fill('list_conversations');
  await form.getByLabel('Kind of tool').selectOption('GraphQL operation');
  await form.getByLabel('Description').fill("Lists the user's conversations.");
  await form.getByLabel('Document', { exact: true }).fill('{ listConversations { items { id title } } }');
  await form.getByRole('button', { name: 'Put agent' }).click();
  await chat.page.getByRole('form', { name: 'Agent lister' }).getByText('Version 1').first().waitFor();

  await chat.startConversation('lister');
  await chat.ask('call list_conversations');
  expect(await chat.answerText()).toContain('The tool list_conversations returned');
});

test('A new version of an agent is put', async () => {
  const administrator = await suite.apiOf('ada');
  await administrator.putAgent({ id: 'poet', modelId: 'parlance.any' });
  const chat = await suite.signIn('ada', '#/agents');
  await chat.button(/^poet/).click();
  const form = chat.page.getByRole('form', { name: 'Agent poet' });
  await form.getByLabel('Model', { exact: true }).fill('parlance.echo');
  await form.getByRole('button', { name: 'Put next version' }).click();
  await form.getByText('Version 2').first().waitFor();
});

test('What the API refuses of an agent is said', async () => {
  const chat = await suite.signIn('ada', '#/agents');
  await chat.button('New agent').click();
  const form = chat.page.getByRole('form', { name: 'New agent' });
  await form.getByLabel('Id', { exact: true }).fill('not-allowed');
  await form.getByLabel('Model', { exact: true }).fill('x'.repeat(3000));
  await form.getByRole('button', { name: 'Put agent' }).click();
  await form.getByRole('alert').filter({ hasText: 'modelId' }).waitFor();
});

test('Who is no administrator sees no panel of agents', async () => {
  const chat = await suite.signIn('bob');
  expect(await chat.page.getByRole('link', { name: 'Agents' }).count()).toBe(0);
  await chat.page.goto(`${suite.server.pageUrl}#/agents`);
  await chat.page.getByText(/administrator/).waitFor();
  expect(await chat.button('New agent').count()).toBe(0);
});
