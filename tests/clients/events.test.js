// Amplify's events and wscat against the Events API of tests/events/stack.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Amplify } from 'aws-amplify';
import { decodeJWT } from 'aws-amplify/auth';
import { events } from 'aws-amplify/data';
import WebSocket from 'ws';
import { startServer } from './entry_server.js';
import { until } from './until.js';

// Node 22 and browsers have a WebSocket of their own.
globalThis.WebSocket ??= WebSocket;

const WSCAT = fileURLToPath(new URL('node_modules/.bin/wscat', import.meta.url));
const EVENTS_OVER_TLS = fileURLToPath(new URL('events_over_tls.js', import.meta.url));

let server;
let endpoint;
let token;
let sub;

before(async () => {
  server = await startServer('events', { options: ['--user', 'ada'] });
  endpoint = server.endpoint;
  token = server.token('ada');
  sub = decodeJWT(token).payload.sub;
  configure(endpoint.eventsApiKey);
});

after(async () => {
  events.closeAll();
  await server.stop();
});

/** Amplify replaces http:// by wss://, whose certificate it does not trust here. It does not replace HTTP://. */
function configure(apiKey) {
  const credentials = {
    accessKeyId: endpoint.administrator.accessKeyId,
    secretAccessKey: endpoint.administrator.secretAccessKey,
  };
  Amplify.configure(
    {
      API: {
        Events: {
          endpoint: endpoint.eventsUrl.replace(/^http:/, 'HTTP:'),
          region: 'us-east-1',
          defaultAuthMode: 'apiKey',
          apiKey,
        },
      },
    },
    {
      Auth: {
        tokenProvider: { getTokens: async () => ({ accessToken: decodeJWT(token) }) },
        credentialsProvider: {
          getCredentialsAndIdentityId: async () => ({ credentials }),
          clearCredentialsAndIdentityId() {},
        },
      },
    },
  );
}

// Amplify reuses an open socket even with another key, so this test comes first.
test('a wrong key is refused', { timeout: 60_000 }, async () => {
  configure('da2-wrong');
  await assert.rejects(events.connect('/default/x'), (error) =>
    /Unauthorized/.test(JSON.stringify(error) + error),
  );
  await assert.rejects(events.post('/default/x', { a: 1 }), { name: 'UnauthorizedException' });
  configure(endpoint.eventsApiKey);
});

test('events of post and publish arrive as they were sent', { timeout: 60_000 }, async () => {
  const channel = await events.connect('/default/x');
  const received = await subscribe(channel);
  const values = [{ a: 1 }, 'txt', 7];
  assert.equal(await events.post('default/x', values), undefined);
  assert.equal(await channel.publish({ b: '“two”' }), undefined);
  const frames = await until(() => received.length === 4 && received);
  assert.deepEqual(
    frames.map(({ type, event }) => [type, event]),
    [...values, { b: '“two”' }].map((event) => ['data', event]),
  );
  channel.close();
});

test('a wildcard receives what is below', { timeout: 60_000 }, async () => {
  const channel = await events.connect('/default/*');
  const received = await subscribe(channel);
  await events.post('/default/deep/down', { a: 1 });
  assert.deepEqual((await until(() => received[0])).event, { a: 1 });
  channel.close();
});

test('a user publishes and subscribes to own channels only', { timeout: 60_000 }, async () => {
  const userPool = { authMode: 'userPool' };
  const own = await events.connect(`/responses/${sub}`, userPool);
  const received = await subscribe(own, userPool);
  const refused = await events.connect('/responses/*', userPool);
  await assert.rejects(subscribe(refused, userPool), (error) => /Unauthorized/.test(JSON.stringify(error)));
  assert.equal(await events.post(`/chat/request/${sub}`, { content: 'Hello' }, userPool), undefined);
  await assert.rejects(events.post('/chat/request/other', { content: 'Hello' }, userPool));
  const failed = await events.post(`/chat/request/${sub}`, { text: 'Hello' }, userPool);
  assert.equal(failed[0].message, 'The message has no content.');

  await assert.rejects(events.post(`/responses/${sub}`, { result: {} }, userPool));
  assert.equal(await events.post(`/responses/${sub}`, { result: {} }, { authMode: 'iam' }), undefined);
  assert.deepEqual((await until(() => received[0])).event, { result: {} });
  refused.close();
  own.close();
});

test('signed frames are accepted', { timeout: 60_000 }, async () => {
  const iam = { authMode: 'iam' };
  const channel = await events.connect('/default/signed', iam);
  const received = await subscribe(channel, iam);
  await channel.publish({ a: 1 }, iam);
  assert.deepEqual((await until(() => received[0])).event, { a: 1 });
  channel.close();
});

test('a program that trusts the certificate needs no capitals', { timeout: 60_000 }, async () => {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: endpoint.tlsCertificate };
  for (const scheme of ['http:', 'https:']) {
    const url = endpoint.eventsUrl.replace(/^http:/, scheme);
    const arguments_ = [EVENTS_OVER_TLS, url, endpoint.eventsApiKey];
    const { stdout } = await promisify(execFile)(process.execPath, arguments_, { env });
    assert.equal(stdout, '{"a":1}\n', scheme);
  }
});

test('wscat subscribes and receives events as texts', { timeout: 60_000 }, async () => {
  const { eventsUrl, eventsApiKey } = endpoint;
  const authorization = { host: new URL(eventsUrl).host, 'x-api-key': eventsApiKey };
  const header = `header-${Buffer.from(JSON.stringify(authorization)).toString('base64url')}`;
  const subscribe = { type: 'subscribe', id: 's1', channel: '/default/*', authorization };
  const realtime = `${eventsUrl.replace(/^http:/, 'ws:')}/realtime`;
  const protocols = ['-s', header, '-s', 'aws-appsync-event-ws'];
  const frames = ['-x', '{"type":"connection_init"}', '-x', JSON.stringify(subscribe)];
  const wscat = spawn(WSCAT, [...protocols, '-c', realtime, ...frames, '-w', '-1'], { timeout: 60_000 });
  let output = '';
  for await (const chunk of wscat.stdout) {
    const isAcknowledged = output.includes('subscribe_success');
    output += chunk;
    if (!isAcknowledged && output.includes('subscribe_success')) await events.post('/default/x/y', { a: 1 });
    if (output.includes('"data"')) wscat.kill();
  }
  for (const frame of [
    '{"type":"connection_ack","connectionTimeoutMs":300000}',
    '{"id":"s1","type":"subscribe_success"}',
    String.raw`{"id":"s1","type":"data","event":"{\"a\":1}"}`,
  ]) {
    assert.ok(output.includes(frame), `no ${frame} in ${output}`);
  }
});

/** Subscribes and resolves with the list of frames, once the subscription is acknowledged. */
async function subscribe(channel, options) {
  const received = [];
  let fail;
  const failed = new Promise((_, reject) => (fail = reject));
  const subscription = channel.subscribe({ next: (frame) => received.push(frame), error: fail }, options);
  await Promise.race([subscription.ready, failed]);
  return received;
}
