import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  clientTools,
  createConversation,
  createConversationList,
  messageText,
  putAgent,
  type Client,
  type ConversationOptions,
  type ConversationStore,
} from '../src/index.js';
import { untilSnapshot } from '../src/store/untilSnapshot.js';
import { LocalServer } from './support/server.js';

let server: LocalServer;
let ada: Client;
let bob: Client;
const stores: ConversationStore[] = [];

const MODEL = 'global.anthropic.claude-haiku-4-5-20251001-v1:0';
const RENAME =
  'mutation ($id: ID!, $title: String!) { updateConversation(input: {id: $id, title: $title}) { title } }';

beforeAll(async () => {
  server = await LocalServer.start();
  ada = server.client({ mode: 'USER_POOL', token: () => server.token('ada', 'USER_POOL') });
  bob = server.client({ mode: 'USER_POOL', token: () => server.token('bob', 'USER_POOL') });
  const administrator = server.client(server.withIam());
  await putAgent(administrator, { id: 'counter', modelId: 'parlance.deltas-500-20' });
  const color = { name: 'color', description: 'The color of the page.', client: true };
  const inputSchema = '{"type":"object","properties":{}}';
  await putAgent(administrator, {
    id: 'helper',
    modelId: MODEL,
    tools: [
      { ...color, inputSchema, effect: 'READ' },
      { name: 'rename', description: 'Renames a conversation.', graphql: { document: RENAME } },
    ],
  });
  administrator.close();
}, 60_000);

afterEach(() => {
  for (const store of stores.splice(0)) store.dispose();
});

afterAll(async () => {
  ada.close();
  bob.close();
  await server.stop();
});

function open(client: Client, options: ConversationOptions = {}): ConversationStore {
  const store = createConversation(client, options);
  store.subscribe(() => undefined);
  stores.push(store);
  return store;
}

const texts = (store: ConversationStore) => store.getSnapshot().messages.map(messageText);
const isIdle = ({ status }: { status: string }) => status === 'IDLE';

test('an answer streams to its author and to another user, and is the stored one', async () => {
  const store = open(ada, { agentId: 'counter' });
  await store.send('Count, please.');
  const id = store.getSnapshot().id ?? '';
  const { id: userId } = await bob.getCaller();
  await ada.shareConversation({ conversationId: id, userId, access: 'WRITE' });
  const other = open(bob, { id });
  await untilSnapshot(other, () => (texts(other)[1] ?? '').includes('0050'));
  expect(other.getSnapshot()).toMatchObject({ status: 'RUNNING', conversation: { access: 'WRITE' } });
  await other.cancel();
  await Promise.all([untilSnapshot(store, isIdle), untilSnapshot(other, isIdle)]);
  expect(texts(store)).toEqual(texts(other));
  expect(store.getSnapshot().messages[1]).toMatchObject({ status: 'CANCELLED', stopReason: 'CANCELLED' });
  const reloaded = open(ada, { id });
  await untilSnapshot(reloaded, ({ phase }) => phase === 'READY');
  expect(texts(reloaded)).toEqual(texts(store));
}, 60_000);

test('an answer is made again, goes on, and is replaced with its message', async () => {
  const store = open(ada);
  await store.send('What is a monad?');
  await untilSnapshot(store, isIdle);
  const [, first = ''] = texts(store);
  await store.retry();
  await untilSnapshot(store, isIdle);
  expect(texts(store)).toHaveLength(2);
  await store.continue();
  await untilSnapshot(store, isIdle);
  expect(texts(store)[1]?.length).toBeGreaterThan(first.length);
  const turnId = store.getSnapshot().messages[0]?.key.split('/')[0] ?? '';
  await store.edit(turnId, 'What is a functor?');
  expect(texts(store)[0]).toBe('What is a functor?');
  await untilSnapshot(store, isIdle);
  expect(texts(store)).toHaveLength(2);
  const reloaded = open(ada, { id: store.getSnapshot().id ?? '' });
  await untilSnapshot(reloaded, ({ phase }) => phase === 'READY');
  expect(texts(reloaded)).toEqual(texts(store));
}, 60_000);

test('a call waits for its approval, and the page runs its own tools', async () => {
  const tools = clientTools({ color: () => ({ color: 'red' }) });
  const store = open(ada, { agentId: 'helper', tools });
  await store.send('Please call color.');
  await untilSnapshot(store, isIdle);
  expect(texts(store)[1]).toContain('red');
  const id = store.getSnapshot().id ?? '';
  await store.send(`Please call rename with {"id":"${id}","title":"Colors"}.`);
  const { pending } = await untilSnapshot(store, ({ status }) => status === 'WAITING');
  await store.answerToolCall({ toolUseId: pending[0]?.id ?? '', approved: true });
  await untilSnapshot(store, isIdle);
  const parts = store.getSnapshot().messages[3];
  expect(parts).toMatchObject({ status: 'COMPLETED' });
  await store.reload();
  expect(store.getSnapshot().conversation?.title).toBe('Colors');
}, 60_000);

test('the list has the conversations of the user, and what is changed here', async () => {
  const list = createConversationList(bob);
  list.subscribe(() => undefined);
  const store = open(bob);
  await store.send('Hello!');
  await untilSnapshot(store, isIdle);
  const id = store.getSnapshot().id ?? '';
  await list.refresh();
  await untilSnapshot(list, ({ items }) => items.some((item) => item.id === id));
  await list.rename(id, 'Greetings');
  list.search('greet');
  expect(list.getSnapshot().items.map((item) => item.id)).toEqual([id]);
  await list.remove(id);
  expect(list.getSnapshot().items).toEqual([]);
  await untilSnapshot(store, ({ phase }) => phase === 'FAILED');
  expect(store.getSnapshot().error?.code).toBe('NotFound');
  list.dispose();
}, 60_000);
