import { useChat } from '@ai-sdk/react';
import { createChatTransport } from 'parlance-client/ai-sdk';
import { client } from './client.js';

const transport = createChatTransport(client);
const id = location.hash.slice(1) || crypto.randomUUID();
const messages = await transport.loadMessages(id);
location.hash = id;

export function Page() {
  const chat = useChat({ id, messages, transport, resume: true });
  return (
    <form action={(form) => chat.sendMessage({ text: form.get('text') as string })}>
      {chat.messages.map(({ id, parts }) => (
        <p key={id}>{parts.map((part) => part.type === 'text' && part.text)}</p>
      ))}
      <input name="text" />
      {chat.status === 'streaming' && <button onClick={() => void chat.stop()}>Stop</button>}
    </form>
  );
}
