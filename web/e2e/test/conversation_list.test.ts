import { expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada', 'bob', 'eve'], parameters: { ModelId: 'parlance.echo' } });

test('A conversation is renamed, and the title is kept', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation();
  await chat.ask('Plans');
  await chat.button('Options of the conversation').click();
  await chat.page.getByRole('menuitem', { name: 'Rename' }).click();
  const title = chat.page.getByRole('textbox', { name: 'Title' });
  await title.fill('Plans for May');
  await title.press('Enter');
  await chat.conversation('Plans for May').waitFor();
  await chat.page.reload();
  await chat.conversation('Plans for May').waitFor();
});

test('A conversation is deleted after a question', async () => {
  const id = await (await suite.apiOf('ada')).createConversation({ title: 'To be deleted' });
  const chat = await suite.signIn('ada', `#/c/${id}`);
  await chat.button('Options of the conversation').click();
  await chat.page.getByRole('menuitem', { name: 'Delete' }).click();
  await chat.page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect.poll(() => chat.conversation('To be deleted').count()).toBe(0);
  await chat.page.reload();
  await chat.composer.waitFor();
  expect(await chat.conversation('To be deleted').count()).toBe(0);
});

test('Conversations are searched by title', async () => {
  const api = await suite.apiOf('eve');
  for (const title of ['Apples', 'Pears', 'Apple pie']) await api.createConversation({ title });
  const chat = await suite.signIn('eve');
  await chat.conversation('Pears').waitFor();
  await chat.page.getByRole('searchbox', { name: 'Search conversations' }).fill('apple');
  await expect.poll(() => chat.conversation('Pears').count()).toBe(0);
  expect(await chat.conversation(/Apple/).count()).toBe(2);
});

test('A conversation that another device begins joins the list, the latest first', async () => {
  const [chat, other] = [await suite.signIn('bob'), await suite.signIn('bob')];
  await chat.startConversation();
  await chat.ask('Begun at one device');
  await other.conversation('Begun at one device').waitFor({ timeout: 45_000 });
  await other.startConversation();
  await other.ask('Begun at the other device');
  const titles = () => other.conversations.getByRole('link').allInnerTexts();
  await expect.poll(async () => (await titles()).join('\n')).toMatch(/the other device[^]*at one device/);
});

test('A conversation is shared to read and to write, and the share ends', async () => {
  const id = await (await suite.apiOf('ada')).createConversation({ title: 'Shared notes' });
  const [ada, bob] = [await suite.signIn('ada', `#/c/${id}`), await suite.signIn('bob')];
  await ada.ask('From Ada');
  const bobsId = await (await suite.apiOf('bob')).callerId();

  await ada.button('Options of the conversation').click();
  await ada.page.getByRole('menuitem', { name: 'Share' }).click();
  const dialog = ada.dialog('Share');
  await dialog.getByRole('textbox', { name: 'User' }).fill(bobsId);
  await dialog.getByRole('combobox', { name: 'Access', exact: true }).selectOption('READ');
  await dialog.getByRole('button', { name: 'Share' }).click();
  await dialog.getByText(bobsId).waitFor();

  await bob.page.goto(`${suite.server.pageUrl}#/c/${id}`);
  await bob.waitForText('From Ada');
  await bob.page.getByText(/only read/i).waitFor();

  await dialog.getByRole('combobox', { name: /Access of/ }).selectOption('WRITE');
  await bob.page.reload();
  await bob.send('From Bob');
  await ada.page.keyboard.press('Escape');
  await ada.questions.filter({ hasText: 'From Bob' }).waitFor();

  await ada.button('Options of the conversation').click();
  await ada.page.getByRole('menuitem', { name: 'Share' }).click();
  await dialog.getByRole('button', { name: /Remove/ }).click();
  await bob.page.getByText(/no longer shared|There is no conversation/).waitFor();
});
