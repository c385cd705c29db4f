import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  getAgentSettings,
  putAgent,
  type Client,
  type ConversationUpdate,
  type Credentials,
  type UpdateObserver,
} from '../src/index.js';
import { Recorder } from './support/recorder.js';
import { LocalServer } from './support/server.js';
import { until } from './support/until.js';

let server: LocalServer;
const clients: Client[] = [];

beforeAll(async () => {
  server = await LocalServer.start();
});
afterAll(() => server.stop());
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

function connect(credentials: Credentials): Client {
  const client = server.client(credentials);
  clients.push(client);
  return client;
}

async function as(name: string, mode: 'USER_POOL' | 'OIDC' = 'USER_POOL'): Promise<Client> {
  const token = await server.token(name, mode);
  return connect({ mode, token: () => token });
}

/** Records what a client is told of a conversation. */
class Follower extends Recorder implements UpdateObserver {
  readonly updates: ConversationUpdate[] = [];

  onUpdate(update: ConversationUpdate): void {
    this.updates.push(update);
  }

  text(): string {
    return this.updates.map(({ metadata }) => metadata?.agentPartialMessage ?? '').join('');
  }

  hasEnded(): boolean {
    return this.updates.some(({ metadata }) => metadata?.status === 'COMPLETED');
  }
}

async function follow(client: Client, conversationId: string): Promise<Follower> {
  const follower = new Follower();
  client.followUpdates(conversationId, follower);
  await until(() => follower.count('subscribed') === 1);
  return follower;
}

const credentials: [string, () => Credentials | Promise<Credentials>][] = [
  ['API_KEY', () => server.withApiKey()],
  ['IAM', () => server.withIam()],
  ...(['USER_POOL', 'OIDC'] as const).map((mode): [string, () => Promise<Credentials>] => [
    mode,
    async () => {
      const token = await server.token('ada', mode);
      return { mode, token: () => Promise.resolve(token) };
    },
  ]),
];

describe.each(credentials)('with %s', (mode, get) => {
  test('a message is answered by updates that are the stored answer', async () => {
    const client = connect(await get());
    const { id } = await client.createConversation({ title: mode });
    const follower = await follow(client, id);
    const sent = await client.sendMessage({ conversationId: id, text: 'Tell me about “streaming”. 👩‍👩‍👧' });
    expect(sent).toMatchObject({ conversationId: id, status: 'QUEUED' });
    await until(() => follower.hasEnded());
    const turn = await client.getTurn({ conversationId: id, id: sent.id });
    expect(turn.status).toBe('COMPLETED');
    const answer = follower.updates.flatMap(({ event }) => (event?.sender.kind === 'AGENT' ? [event] : []));
    expect(turn.answer).toEqual(answer);
    // The last text of an answer comes with its event.
    const text = follower.text();
    expect(text).not.toBe('');
    expect(answer[0]?.text?.slice(0, text.length)).toBe(text);
    expect(turn.usage?.outputTokens).toBeGreaterThan(0);
  });

  test('the operations of conversations work', async () => {
    const client = connect(await get());
    const { id } = await client.createConversation();
    await client.updateConversation({ id, title: 'Plans' });
    const conversation = await client.getConversation(id, { limit: 1 });
    expect(conversation).toMatchObject({ id, title: 'Plans', access: 'OWNER', activeTurn: null });
    expect(conversation.events).toEqual({ items: [], hasMore: false });
    expect(await client.getEvents(id)).toMatchObject({ activeTurn: null, events: { items: [] } });
    await client.deleteConversation(id);
    await expect(client.getConversation(id)).rejects.toMatchObject({ code: 'NotFound' });
    expect((await client.getCaller()).id).not.toBe('');
    expect((await client.listAgents()).items[0]?.id).toBe('default');
    expect(await client.getAgent('default')).toMatchObject({ id: 'default', tools: [], knowledge: null });
  });
});

test('conversations are listed in pages', async () => {
  const client = await as('bob');
  const ids = [await client.createConversation(), await client.createConversation()].map(({ id }) => id);
  const read = async (nextToken: string | null): Promise<string[]> => {
    const page = await client.listConversations({ limit: 1, nextToken });
    const rest = page.nextToken === null ? [] : await read(page.nextToken);
    return [...page.items.map(({ id }) => id), ...rest];
  };
  // The list follows the table with a delay.
  await vi.waitFor(async () => {
    expect((await read(null)).sort()).toEqual(ids.sort());
  });
});

test('an administrator puts an agent and reads its settings, which others may not', async () => {
  const administrator = connect(server.withIam());
  const input = { id: 'poet', modelId: 'parlance.unicode', systemPrompt: 'Answer in rhymes.' };
  const rename = 'mutation ($id: ID!) { updateConversation(input: {id: $id}) { title } }';
  const tools = [{ name: 'rename', description: 'Renames a conversation.', graphql: { document: rename } }];
  const put = await putAgent(administrator, { ...input, tools });
  expect(put).toMatchObject({ ...input, tools: [{ name: 'rename', graphql: { document: rename } }] });
  expect(await getAgentSettings(administrator, 'poet')).toEqual(put);
  const ada = await as('ada');
  expect((await ada.getAgent('poet')).tools[0]).toMatchObject({ name: 'rename', approval: 'ALWAYS' });
  await expect(getAgentSettings(ada, 'poet')).rejects.toMatchObject({ code: 'Unauthorized' });
});

test('a conversation is shared, and followed until it is not', async () => {
  const [ada, bob] = [await as('ada'), await as('bob')];
  const { id } = await ada.createConversation();
  const { id: userId } = await bob.getCaller();
  expect(await ada.shareConversation({ conversationId: id, userId, access: 'READ' })).toMatchObject({
    access: 'READ',
  });
  expect((await ada.getConversation(id)).participants).toMatchObject([{ userId, access: 'READ' }]);
  const follower = await follow(bob, id);
  expect(await ada.unshareConversation(id, userId)).toMatchObject({ userId });
  await until(() => follower.calls.some((call) => call.startsWith('error')));
  expect(follower.calls.at(-1)).toMatch(/^error (Unauthorized|NotFound)$/);
  expect(await ada.unshareConversation(id, userId)).toBeUndefined();
});

test('a subscription to the conversation of somebody else is refused, and another one goes on', async () => {
  const [ada, bob] = [await as('ada'), await as('bob')];
  const [adas, bobs] = [await ada.createConversation(), await bob.createConversation()];
  const own = await follow(bob, bobs.id);
  const refused = new Follower();
  bob.followUpdates(adas.id, refused);
  await until(() => refused.calls.some((call) => call.startsWith('error')));
  expect(refused.calls).not.toContain('subscribed');
  await bob.sendMessage({ conversationId: bobs.id, text: 'Hello!' });
  await until(() => own.hasEnded());
});

test.each<[string, Credentials]>([
  ['key', { mode: 'API_KEY', apiKey: 'da2-wrong' }],
  ['token', { mode: 'USER_POOL', token: () => 'no token' }],
])('a wrong %s is UNAUTHORIZED over HTTP and in the realtime protocol', async (_, wrong) => {
  const client = connect(wrong);
  await expect(client.getCaller()).rejects.toMatchObject({ code: 'UNAUTHORIZED', retryable: false });
  const follower = new Follower();
  client.followUpdates('x', follower);
  await until(() => follower.count('error UNAUTHORIZED') === 1);
});

test('errors of the API have their codes and details', async () => {
  const client = connect(server.withApiKey());
  await expect(client.sendMessage({ text: '  ' })).rejects.toMatchObject({
    code: 'InvalidInput',
    message: 'text must be more than blanks.',
    info: { field: 'text' },
  });
});

test('a server that is not there is NETWORK', async () => {
  const client = connect(server.withApiKey());
  const away = server.client(server.withApiKey(), { url: 'http://localhost:9/graphql' });
  clients.push(away);
  await expect(away.createConversation()).rejects.toMatchObject({ code: 'NETWORK', retryable: true });
  expect((await client.getCaller()).isAdministrator).toBe(false);
});

test('a cancelled request is ABORTED', async () => {
  const client = connect(server.withApiKey());
  const controller = new AbortController();
  const listed = client.listConversations({}, { signal: controller.signal });
  controller.abort();
  await expect(listed).rejects.toMatchObject({ code: 'ABORTED' });
});

test('a token is asked for again when the server was restarted, and updates go on', async () => {
  const tokens: string[] = [];
  const client = connect({
    mode: 'USER_POOL',
    token: async () => {
      const token = await server.token('ada', 'USER_POOL').catch((cause: unknown) => {
        throw new TypeError('The issuer is restarted.', { cause });
      });
      tokens.push(token);
      return token;
    },
  });
  const { id } = await client.createConversation();
  const follower = await follow(client, id);
  const before = tokens.length;
  await server.restart();
  await until(() => follower.count('subscribed') === 2, 30_000);
  expect(tokens.length).toBeGreaterThanOrEqual(before + 2);
  expect(follower.calls).toContain('WAITING_TO_RECONNECT');
  await client.sendMessage({ conversationId: id, text: 'Hello!' });
  await until(() => follower.hasEnded());
}, 60_000);

test('the same message again is the same turn', async () => {
  const client = connect(server.withApiKey());
  const message = { id: 'a-random-id-of-a-message', text: 'Hello!' };
  const [one, other] = [await client.sendMessage(message), await client.sendMessage(message)];
  expect(other.conversationId).toBe(one.conversationId);
  await expect(client.sendMessage({ ...message, text: 'Bye!' })).rejects.toMatchObject({
    code: 'IdConflict',
  });
});
