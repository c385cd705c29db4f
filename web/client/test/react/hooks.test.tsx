// @vitest-environment jsdom
import { StrictMode, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClientOf, type Client, type ConversationStore } from '../../src/index.js';
import { useConversation, useConversationList } from '../../src/react/index.js';
import { FakeServer } from '../support/fakeServer.js';

let server: FakeServer;
let client: Client;
let root: Root;
let container: HTMLElement;

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false });
  server = new FakeServer();
  client = createClientOf(server);
  container = document.createElement('div');
  root = createRoot(container);
});

afterEach(() => {
  root.unmount();
});

function render(node: ReactNode): void {
  root.render(<StrictMode>{node}</StrictMode>);
}

const stores: ConversationStore[] = [];

function Page({ id }: { id?: string }) {
  const { store, snapshot } = useConversation(client, id);
  if (stores.at(-1) !== store) stores.push(store);
  const texts = snapshot.messages.map((message) =>
    message.role === 'user'
      ? message.text
      : message.parts.map((part) => (part.type === 'text' ? part.text : '')).join(''),
  );
  return <p>{[snapshot.id ?? 'new', snapshot.phase, ...texts].join('|')}</p>;
}

describe('useConversation', () => {
  it('renders the conversation as it grows, and closes it', async () => {
    server.seed('c1', 1);
    render(<Page id="c1" />);
    await expect.poll(() => container.textContent).toBe('c1|READY|Question 1|Answer 1');
    await expect.poll(() => server.subscriberCount).toBe(1);
    await client.sendMessage({ conversationId: 'c1', id: 'm2', text: 'More' });
    server.answer('c1').text('Yes');
    await expect.poll(() => container.textContent).toBe('c1|READY|Question 1|Answer 1|More|Yes');
    render(null);
    await expect.poll(() => server.subscriberCount).toBe(0);
  });

  it('keeps the store of a new conversation when its id follows, and changes it for another one', async () => {
    server.seed('c1', 1);
    render(<Page />);
    await expect.poll(() => container.textContent).toBe('new|NEW');
    const store = stores.at(-1);
    await store?.send('Hello!');
    const id = store?.getSnapshot().id;
    if (id === undefined) throw new Error('The conversation has no id.');
    render(<Page id={id} />);
    await expect.poll(() => container.textContent).toBe(`${id}|READY|Hello!|`);
    expect(stores.at(-1)).toBe(store);
    render(<Page id="c1" />);
    await expect.poll(() => container.textContent).toBe('c1|READY|Question 1|Answer 1');
    render(<Page />);
    await expect.poll(() => container.textContent).toBe('new|NEW');
  });

  it('renders every text of updates that come faster than frames', async () => {
    server.seed('c1', 0);
    render(<Page id="c1" />);
    await expect.poll(() => server.subscriberCount).toBe(1);
    await client.sendMessage({ conversationId: 'c1', id: 'm1', text: 'Count' });
    const answer = server.answer('c1');
    const numbers = Array.from({ length: 300 }, (_, number) => `${number} `);
    for (const number of numbers) {
      answer.text(number);
      await Promise.resolve();
    }
    await expect.poll(() => container.textContent).toBe(`c1|READY|Count|${numbers.join('')}`);
  });
});

describe('useConversationList', () => {
  it('renders the list', async () => {
    server.seed('c1', 0);
    server.seed('c2', 0);
    function List() {
      const { snapshot } = useConversationList(client);
      return <p>{snapshot.items.map(({ id }) => id).join(' ')}</p>;
    }
    render(<List />);
    await expect.poll(() => container.textContent).toBe('c2 c1');
  });
});
