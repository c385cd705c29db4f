import { createConversation, messageText } from 'parlance-client';
import { client } from './client.js';

const conversation = createConversation(client);

conversation.subscribe(() => {
  const { messages } = conversation.getSnapshot();
  document.querySelector('output')?.replaceChildren(messages.map(messageText).join('\n'));
});
document.querySelector('form')?.addEventListener('submit', (event) => {
  event.preventDefault();
  void conversation.send(document.querySelector('input')?.value ?? '');
});
