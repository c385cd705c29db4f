import { expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({
  users: ['ada'],
  parameters: { ModelId: 'parlance.echo', MessagesPerMinute: '1' },
});

test('A quota that is used up is said in words, and the message stays', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation();
  await chat.ask('First');
  await chat.send('Second');
  const alert = chat.page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.innerText()).toMatch(/again/i);
  await chat.questions.filter({ hasText: 'Second' }).getByRole('button', { name: 'Send again' }).waitFor();
});
