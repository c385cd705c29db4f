import { messageText } from 'parlance-client';
import { useConversation } from 'parlance-client/react';
import { client } from './client.js';

export function Page() {
  const { store, snapshot } = useConversation(client);
  return (
    <form action={(form) => void store.send(form.get('text') as string)}>
      {snapshot.messages.map((message) => (
        <p key={message.key}>{messageText(message)}</p>
      ))}
      <input name="text" />
      {snapshot.status === 'RUNNING' && <button onClick={() => void store.cancel()}>Stop</button>}
    </form>
  );
}
