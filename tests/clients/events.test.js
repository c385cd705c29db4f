// Amplify's events against the Events API of tests/events/stack.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Amplify } from 'aws-amplify';
import { decodeJWT } from 'aws-amplify/auth';
import { events } from 'aws-amplify/data';
import WebSocket from 'ws';
import { required } from './environment_variables.js';

// Node 22 and browsers have a WebSocket of their own.
globalThis.WebSocket ??= WebSocket;

const PARLANCE = required('PARLANCE_PROGRAM');
const STACK = fileURLToPath(new URL('../events/stack', import.meta.url));
const START_MILLISECONDS = 60_000;

const state = mkdtempSync(join(tmpdir(), 'parlance-events-'));
let server;
let endpoint;
let token;
let sub;

before(async () => {
  const options = ['--ephemeral', '--port', '0', '--state', state, '--root', STACK, '--user', 'ada'];
  server = spawn(PARLANCE, options, { stdio: 'ignore' });
  endpoint = await until(() => JSON.parse(readFileSync(join(state, 'endpoint.json'))));
  token = execFileSync(PARLANCE, ['token', 'ada', '--state', state], { encoding: 'utf8' }).trim();
  sub = decodeJWT(token).payload.sub;
  configure(endpoint.eventsApiKey);
});

after(async () => {
  events.closeAll();
  if (server.exitCode === null && server.kill('SIGINT')) await once(server, 'exit');
  rmSync(state, { recursive: true, force: true, maxRetries: 10 });
});

/** Amplify replaces http:// by wss://, which the local server does not speak. It does not replace HTTP://. */
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

/** Subscribes and resolves with the list of frames, once the subscription is acknowledged. */
async function subscribe(channel, options) {
  const received = [];
  let fail;
  const failed = new Promise((_, reject) => (fail = reject));
  const subscription = channel.subscribe({ next: (frame) => received.push(frame), error: fail }, options);
  await Promise.race([subscription.ready, failed]);
  return received;
}

/** Repeats a function until it returns a value. */
async function until(attempt) {
  const end = Date.now() + START_MILLISECONDS;
  for (;;) {
    try {
      const value = await attempt();
      if (value) return value;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    assert.ok(Date.now() < end, 'it does not happen in time');
    await sleep(50);
  }
}
