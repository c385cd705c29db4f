// An agent with the tools of the public MCP server @modelcontextprotocol/server-everything.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { required } from './environment_variables.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EVERYTHING = fileURLToPath(new URL('node_modules/.bin/mcp-server-everything', import.meta.url));
const PARLANCE = required('PARLANCE_PROGRAM');
/** Started programs say within this time that they are ready. */
const START_MILLISECONDS = 60_000;
const TOOLS = ['echo', 'get-sum', 'get-structured-content', 'get-tiny-image', 'toggle-simulated-logging'];

const state = mkdtempSync(join(tmpdir(), 'parlance-mcp-'));
const processes = [];
let endpoint;
let token;
let serverUrl;

before(async () => {
  const port = await freePort();
  serverUrl = `http://localhost:${port}/mcp`;
  const env = { ...process.env, PORT: String(port) };
  processes.push(spawn(EVERYTHING, ['streamableHttp'], { env, stdio: ['ignore', 'ignore', 'pipe'] }));
  const parameters = ['--parameter', `ToolMcpUrls=${serverUrl}`];
  const options = [
    '--ephemeral',
    '--no-page',
    '--port',
    '0',
    '--state',
    state,
    '--root',
    ROOT,
    '--user',
    'ada:administrators',
  ];
  processes.push(spawn(PARLANCE, [...options, ...parameters], { stdio: 'ignore' }));
  await until(async () => (await fetch(serverUrl)).status < 500);
  endpoint = await until(() => JSON.parse(readFileSync(join(state, 'endpoint.json'))));
  token = execFileSync(PARLANCE, ['token', 'ada', '--state', state], { encoding: 'utf8' }).trim();
});

after(async () => {
  for (const child of processes) {
    if (child.exitCode === null && child.kill('SIGINT')) await once(child, 'exit');
  }
  rmSync(state, { recursive: true, force: true, maxRetries: 10 });
});

test('the agent gets the tools that it names', async () => {
  const { putAgent } = await execute(
    `mutation ($input: PutAgentInput!) {
      putAgent(input: $input) { tools { name title effect approval mcp { url toolName } } }
    }`,
    { input: agent({ url: serverUrl, tools: TOOLS }) },
  );
  assert.deepEqual(
    putAgent.tools.map(({ mcp }) => mcp),
    TOOLS.map((toolName) => ({ url: serverUrl, toolName })).sort(byToolName),
  );
  const names = putAgent.tools.map(({ name }) => name);
  assert.deepEqual(names, TOOLS.map((name) => `all_${name.replaceAll('-', '_')}`).sort());
  for (const { approval } of putAgent.tools) assert.equal(approval, 'NEVER');
});

test('its tools run in a conversation', async () => {
  const [echo] = await resultsOf('call all_echo with {"message":"Hello, Ada!"}');
  assert.deepEqual([echo.status, echo.text], ['SUCCEEDED', 'Echo: Hello, Ada!']);
  const [sum] = await resultsOf('call all_get_sum with {"a":2,"b":40}');
  assert.equal(sum.status, 'SUCCEEDED');
  assert.match(sum.text, /42/);
  const [structured] = await resultsOf('call all_get_structured_content with {"location":"New York"}');
  assert.equal(typeof JSON.parse(structured.json).temperature, 'number');
  const [image] = await resultsOf('call all_get_tiny_image');
  assert.match(image.json, /An image \(image\/png\) is left out/);
});

test('arguments that the server refuses fail with its words', async () => {
  const [sum] = await resultsOf('call all_get_sum with {"a":"two"}');
  assert.equal(sum.status, 'FAILED');
  assert.match(sum.text, /expected number, received string/);
});

test('a URL that the deployment does not allow is refused by path', async () => {
  const input = agent({ url: `${serverUrl}/other` });
  const { errors } = await request('mutation ($input: PutAgentInput!) { putAgent(input: $input) { id } }', {
    input,
  });
  assert.equal(errors[0].errorType, 'InvalidInput');
  assert.match(
    errors[0].message,
    /^tools\[0\]\.mcp\.url: The deployment's parameter ToolMcpUrls does not allow/,
  );
});

function agent(mcp) {
  return { id: 'all', modelId: 'parlance.caller', tools: [{ name: 'all', approval: 'NEVER', mcp }] };
}

/** The results of the calls that the scripted model makes for a question. */
async function resultsOf(text) {
  const conversation = 'mutation { createConversation(input: { agentId: "all" }) { id } }';
  const { createConversation } = await execute(conversation, {});
  const input = { conversationId: createConversation.id, id: 'm1', text };
  await execute('mutation ($input: SendMessageInput!) { sendMessage(input: $input) { id } }', { input });
  return until(async () => {
    const query = `query ($id: ID!) {
      getTurn(conversationId: $id, id: "m1") {
        status failure { code message } answer { content { toolResult { status text json } } }
      }
    }`;
    const { getTurn } = await execute(query, { id: createConversation.id });
    assert.notEqual(getTurn.status, 'FAILED', JSON.stringify(getTurn.failure));
    if (getTurn.status !== 'COMPLETED') return undefined;
    return getTurn.answer.flatMap(({ content }) => content.flatMap(({ toolResult }) => toolResult ?? []));
  });
}

async function execute(query, variables) {
  const { data, errors } = await request(query, variables);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

async function request(query, variables) {
  const headers = { 'content-type': 'application/json', authorization: token };
  const body = JSON.stringify({ query, variables });
  return (await fetch(endpoint.url, { method: 'POST', headers, body })).json();
}

/** Repeats an action until it returns something. A failed assertion ends it. */
async function until(action) {
  const end = Date.now() + START_MILLISECONDS;
  for (;;) {
    try {
      const result = await action();
      if (result) return result;
    } catch (error) {
      if (error instanceof assert.AssertionError || Date.now() > end) throw error;
    }
    assert.ok(Date.now() < end, 'it takes too long');
    await sleep(100);
  }
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function byToolName(left, right) {
  return left.toolName < right.toolName ? -1 : 1;
}
