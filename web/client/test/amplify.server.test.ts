import { Amplify } from 'aws-amplify';
import { generateClient } from 'aws-amplify/api';
import { Hub } from 'aws-amplify/utils';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { amplifyTransport } from '../src/amplify/index.js';
import { createClientOf, createConversation, type Client } from '../src/index.js';
import { LocalServer } from './support/server.js';
import { until } from './support/until.js';

let server: LocalServer;
let client: Client;

beforeAll(async () => {
  vi.stubGlobal('WebSocket', WebSocket);
  server = await LocalServer.start();
  // Amplify follows a local server only if the URL begins with HTTP in capitals.
  const endpoint = server.url.replace(/^http:/, 'HTTP:');
  Amplify.configure({ API: { GraphQL: { endpoint, defaultAuthMode: 'apiKey', apiKey: server.apiKey } } });
  client = createClientOf(amplifyTransport(generateClient(), Hub));
});
afterAll(async () => {
  client.close();
  await server.stop();
});

test('errors of the API have their codes', async () => {
  await expect(client.sendMessage({ text: '  ' })).rejects.toMatchObject({
    code: 'InvalidInput',
    info: { field: 'text' },
  });
});

test('a conversation is answered, also after a restart of the server', async () => {
  const conversation = createConversation(client);
  const end = conversation.subscribe(() => undefined);
  const answers = () => conversation.getSnapshot().messages.filter(({ role }) => role === 'assistant');
  const isAnswered = (count: number) =>
    answers().length === count && conversation.getSnapshot().status === 'IDLE';
  await conversation.send('Hello!');
  await until(() => isAnswered(1), 20_000);
  await server.restart();
  await until(() => conversation.getSnapshot().connection === 'CONNECTED', 20_000);
  await conversation.send('And again.');
  await until(() => isAnswered(2), 20_000);
  expect(answers()).toMatchObject([{ status: 'COMPLETED' }, { status: 'COMPLETED' }]);
  end();
  conversation.dispose();
}, 90_000);

test('a refused subscription is an error', async () => {
  const onError = vi.fn();
  const ignore = () => undefined;
  client.followUpdates('no-such-conversation', {
    onError,
    onState: ignore,
    onSubscribed: ignore,
    onUpdate: ignore,
  });
  await until(() => onError.mock.calls.length === 1);
  expect(onError.mock.calls[0]).toMatchObject([{ name: 'ParlanceError' }]);
});
