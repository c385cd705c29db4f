import { beforeAll, expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada:administrators'], parameters: { MessagesPerMinute: '0' } });

const tools = [
  {
    name: 'list_conversations',
    description: "Lists the user's conversations.",
    graphql: { document: 'query ($limit: Int) { listConversations(limit: $limit) { items { id title } } }' },
  },
  {
    name: 'rename_conversation',
    description: "Renames one of the user's conversations.",
    graphql: {
      document: `mutation ($id: ID!, $title: String!) {
        updateConversation(input: { id: $id, title: $title }) { id title }
      }`,
    },
  },
  {
    name: 'page_title',
    description: 'The title of the page that the user sees.',
    inputSchema: '{"type":"object","properties":{}}',
    effect: 'READ',
    client: true,
  },
];

beforeAll(async () => {
  const administrator = await suite.apiOf('ada');
  await administrator.putAgent({ id: 'secretary', modelId: 'parlance.any', tools });
  await administrator.createConversation({ id: 'notes', title: 'Untitled' });
});

const titleOfNotes = async () => {
  const api = await suite.apiOf('ada');
  const read = await api.request<{ getConversation: { title: string } }>(
    '{ getConversation(id: "notes") { title } }',
  );
  return read.getConversation.title;
};

test('A call is shown with its arguments and its result', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('secretary');
  await chat.ask('call list_conversations with {"limit": 3}');
  const card = chat.lastAnswer.getByRole('group', { name: /list_conversations/ });
  await card.getByText(/Succeeded/i).waitFor();
  await card.getByRole('button', { name: /list_conversations/ }).click();
  expect(await card.innerText()).toMatch(/"limit": 3[^]*"Untitled"/);
  expect(await chat.answerText()).toContain('The tool list_conversations returned');
});

test('A call is approved in the second tab', async () => {
  const one = await suite.signIn('ada');
  await one.startConversation('secretary');
  await one.send('call rename_conversation with {"id": "notes", "title": "Plans for May"}');
  await one.button('Approve').waitFor();
  expect(await titleOfNotes()).toBe('Untitled');
  const other = await suite.openTabOf(one, `#/c/${await one.conversationId()}`);
  await other.lastAnswer.getByText('"Plans for May"').waitFor();
  await other.button('Approve').click();
  for (const chat of [one, other]) {
    await chat.waitForText('The tool rename_conversation returned');
    await chat.waitForEnd();
    expect(await chat.button('Approve').count()).toBe(0);
  }
  expect(await titleOfNotes()).toBe('Plans for May');
});

test('A call is denied with a reason', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('secretary');
  const before = await titleOfNotes();
  await chat.send('call rename_conversation with {"id": "notes", "title": "Taken"}');
  await chat.button('Deny').click();
  await chat.page.getByRole('textbox', { name: /Reason/ }).fill('Not that one.');
  await chat.button(/^Deny/).last().click();
  await chat.waitForText('Not that one.');
  await chat.waitForEnd();
  expect(await titleOfNotes()).toBe(before);
});

test('A tool of clients gets its result from the page', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('secretary');
  await chat.send('call page_title');
  await chat.page.getByRole('textbox', { name: /Result/ }).fill('{"title": "My notes"}');
  await chat.button('Send result').click();
  await chat.waitForText('The tool page_title returned');
  await chat.waitForText('My notes');
  await chat.waitForEnd();
});
