// Public clients of WebSockets against the WebSocket API of tests/websocket/stack.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  GoneException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import WebSocket from 'ws';
import { startServer } from './entry_server.js';

const WSCAT = fileURLToPath(new URL('node_modules/.bin/wscat', import.meta.url));
const PYTHON_CLIENT = fileURLToPath(new URL('websocket_client.py', import.meta.url));
const MILLISECONDS = 60_000;
const options = { timeout: MILLISECONDS };

let server;
let url;

before(async () => {
  server = await startServer('websocket', { program: 'websocket_functions.js' });
  url = `${server.endpoint.websocketUrl}?token=ada`;
});

after(() => server.stop());

const encrypted = (address) => address.replace(/^ws:/, 'wss:').replace(/^http:/, 'https:');
const certificate = () => readFileSync(server.endpoint.tlsCertificate);

/** Opens a WebSocket and resolves with it once it is open. */
async function open(address, protocols, socketOptions) {
  const socket = new WebSocket(address, protocols, socketOptions);
  await once(socket, 'open', { signal: AbortSignal.timeout(MILLISECONDS) });
  return socket;
}

/** Sends a message and resolves with the next one. */
async function ask(socket, message) {
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(MILLISECONDS) });
  socket.send(JSON.stringify(message));
  const [data, isBinary] = await answer;
  assert.equal(isBinary, false);
  return JSON.parse(data);
}

function assertAnswer({ message }) {
  assert.equal(typeof message, 'string');
  assert.notEqual(message.trim(), '');
}

test('a WebSocket with a subprotocol gets answers', options, async () => {
  const socket = await open(url, ['parlance']);
  assert.equal(socket.protocol, 'parlance');
  for (const question of [{ data: 'Hello' }, { data: '' }, {}]) assertAnswer(await ask(socket, question));
  assert.deepEqual(await ask(socket, { action: 'ping' }), { type: 'pong' });
  socket.close();
  const [code] = await once(socket, 'close');
  assert.equal(code, 1005);
});

test('a refused client sees the status', options, async () => {
  for (const [address, status] of [
    [server.endpoint.websocketUrl, 401],
    [`${server.endpoint.websocketUrl}?token=refused`, 403],
    [url.replace(/prod\?/, 'other?'), 403],
  ]) {
    await assert.rejects(open(address), { message: `Unexpected server response: ${status}` });
  }
});

test('a client that speaks only TLS is served at the same port', options, async () => {
  const socket = await open(encrypted(url), ['parlance'], { ca: certificate() });
  assertAnswer(await ask(socket, { data: 'Hello' }));
  socket.close();
  await assert.rejects(open(encrypted(url)), /self-signed certificate/);
});

test('wscat prints answers', options, async () => {
  const tls = ['--ca', server.endpoint.tlsCertificate];
  for (const arguments_ of [
    ['-c', url],
    ['-c', encrypted(url), ...tls],
  ]) {
    const message = ['-x', '{"data":"Hello"}', '-w', '-1'];
    const wscat = spawn(WSCAT, [...arguments_, '-s', 'parlance', ...message], options);
    let output = '';
    for await (const chunk of wscat.stdout) {
      output += chunk;
      const answer = /\{"message.*\}/.exec(output);
      if (!answer) continue;
      assertAnswer(JSON.parse(answer[0]));
      wscat.kill();
    }
    assert.match(output, /\{"message/);
  }
});

test('the Python package websockets gets answers', options, async () => {
  for (const arguments_ of [[url], [encrypted(url), server.endpoint.tlsCertificate]]) {
    const [protocol, ...answers] = await python(arguments_, '{"data":"Hello"}\n{"data":"Again"}\n');
    assert.equal(protocol, 'parlance');
    assert.equal(answers.length, 2);
    for (const answer of answers) assertAnswer(JSON.parse(answer));
  }
});

/** The lines that the client prints for these lines. */
async function python(arguments_, input) {
  const client = promisify(execFile)('python3', [PYTHON_CLIENT, ...arguments_], options);
  client.child.stdin.end(input);
  const { stdout } = await client;
  return stdout.trim().split('\n');
}

// The functions of this test tell a client the id of its connection.
test("AWS's SDK manages connections", options, async () => {
  const socket = await open(url);
  const { message: ConnectionId } = await ask(socket, { data: 'connection' });
  for (const client of managementClients()) {
    const received = once(socket, 'message', { signal: AbortSignal.timeout(MILLISECONDS) });
    await client.send(new PostToConnectionCommand({ ConnectionId, Data: '“Hello”' }));
    assert.equal(String((await received)[0]), '“Hello”');
    const connection = await client.send(new GetConnectionCommand({ ConnectionId }));
    assert.equal(connection.Identity.SourceIp, '127.0.0.1');
    assert.ok(connection.LastActiveAt >= connection.ConnectedAt && connection.ConnectedAt instanceof Date);
    const large = new PostToConnectionCommand({ ConnectionId, Data: 'x'.repeat(131_073) });
    await assert.rejects(client.send(large), { name: 'PayloadTooLargeException' });
  }
  const [client] = managementClients();
  const closed = once(socket, 'close');
  await client.send(new DeleteConnectionCommand({ ConnectionId }));
  assert.equal((await closed)[0], 1000);
  for (const Command of [PostToConnectionCommand, GetConnectionCommand, DeleteConnectionCommand]) {
    const command = new Command({ ConnectionId, Data: 'late' });
    await assert.rejects(client.send(command), (error) => error instanceof GoneException);
  }
  const malformed = new PostToConnectionCommand({ ConnectionId: 'x', Data: 'a' });
  await assert.rejects(client.send(malformed), { name: 'BadRequestException' });
});

/** One over HTTP and one over TLS, as programs use it that take the domain name of an event. */
function managementClients() {
  const { administrator: credentials, region, websocketUrl } = server.endpoint;
  const endpoint = websocketUrl.replace(/^ws:/, 'http:').replace('/ws/', '/');
  const httpsAgent = new Agent({ ca: certificate() });
  return [
    new ApiGatewayManagementApiClient({ endpoint, region, credentials }),
    new ApiGatewayManagementApiClient({
      endpoint: encrypted(endpoint),
      region,
      credentials,
      requestHandler: { httpsAgent },
    }),
  ];
}
