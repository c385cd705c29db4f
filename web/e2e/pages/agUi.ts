import { ParlanceAgent } from 'parlance-client/ag-ui';
import { client } from './client.js';

const agent = new ParlanceAgent(client);

agent.subscribe({
  onMessagesChanged: ({ messages }) => {
    const texts = messages.map(({ content }) => (typeof content === 'string' ? content : ''));
    document.querySelector('output')?.replaceChildren(texts.join('\n'));
  },
});
document.querySelector('form')?.addEventListener('submit', (event) => {
  event.preventDefault();
  const content = document.querySelector('input')?.value ?? '';
  agent.addMessage({ id: crypto.randomUUID(), role: 'user', content });
  void agent.runAgent();
});
