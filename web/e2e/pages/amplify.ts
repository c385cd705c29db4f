import { Amplify } from 'aws-amplify';
import { generateClient } from 'aws-amplify/api';
import { Hub } from 'aws-amplify/utils';
import { createClientOf, createConversation, messageText } from 'parlance-client';
import { amplifyTransport } from 'parlance-client/amplify';

const { VITE_API_URL: endpoint, VITE_API_KEY: apiKey } = import.meta.env;
Amplify.configure({ API: { GraphQL: { endpoint, defaultAuthMode: 'apiKey', apiKey } } });
const conversation = createConversation(createClientOf(amplifyTransport(generateClient(), Hub)));

conversation.subscribe(() => {
  const { messages } = conversation.getSnapshot();
  document.querySelector('output')?.replaceChildren(messages.map(messageText).join('\n'));
});
document.querySelector('form')?.addEventListener('submit', (event) => {
  event.preventDefault();
  void conversation.send(document.querySelector('input')?.value ?? '');
});
