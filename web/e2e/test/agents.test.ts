import { expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada:administrators', 'bob'] });

test('An administrator puts an agent with a tool and uses it', async () => {
  const chat = await suite.signIn('ada', '#/agents');
  await chat.button('New agent').click();
  const { page } = chat;
  await page.getByRole('textbox', { name: 'Id' }).fill('lister');
  await page.getByRole('textbox', { name: 'Model' }).fill('parlance.any');
  await page.getByRole('textbox', { name: 'System prompt' }).fill('You list conversations.');
  await chat.button('Add tool').click();
  const tool = page.getByRole('group', { name: /Tool 1/ });
  await tool.getByRole('textbox', { name: 'Name' }).fill('list_conversations');
  await tool.getByRole('textbox', { name: 'Description' }).fill("Lists the user's conversations.");
  await tool.getByRole('combobox', { name: 'Kind' }).selectOption('graphql');
  await tool.getByRole('textbox', { name: 'Document' }).fill('{ listConversations { items { id title } } }');
  await chat.button('Save').click();
  await page.getByText(/Version 1/).waitFor();

  await chat.startConversation('lister');
  await chat.ask('call list_conversations');
  expect(await chat.answerText()).toContain('The tool list_conversations returned');
});

test('What the API refuses of an agent is said at its field', async () => {
  const chat = await suite.signIn('ada', '#/agents');
  await chat.button('New agent').click();
  await chat.page.getByRole('textbox', { name: 'Id' }).fill('not valid!');
  await chat.page.getByRole('textbox', { name: 'Model' }).fill('parlance.any');
  await chat.button('Save').click();
  await chat.page.getByRole('alert').waitFor();
});

test('Who is no administrator sees no panel of agents', async () => {
  const chat = await suite.signIn('bob');
  expect(await chat.page.getByRole('link', { name: 'Agents' }).count()).toBe(0);
  await chat.page.goto(`${suite.server.pageUrl}#/agents`);
  await chat.page.getByText(/administrator/).waitFor();
  expect(await chat.button('New agent').count()).toBe(0);
});
