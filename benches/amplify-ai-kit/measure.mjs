// Measures the conversation handler of Amplify's AI kit as `cargo bench --bench end_to_end` measures
// Parlance's: an answer of 300 deltas of five bytes, 15 ms apart, with AppSync answering after 0 to 200 ms.
// The handler is the bundle that npm publishes, unchanged, in a process of its own; Bedrock and AppSync are
// fakes on loopback. Run: node benches/amplify-ai-kit/measure.mjs
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBedrock } from './bedrock.mjs';

const PACKAGE = '@aws-amplify/ai-constructs@1.7.0';
const BUNDLE = 'package/lib/conversation/runtime/default_handler_bundled/index.js';
const LATENCIES_MILLISECONDS = [0, 30, 60, 200];
const DELTAS = { count: 300, interval: 15 };

const folder = mkdtempSync(join(tmpdir(), 'amplify-ai-kit-'));
const bedrock = await startBedrock(DELTAS);
try {
  const archive = execFileSync('npm', ['pack', PACKAGE, '--silent'], {
    cwd: folder,
    encoding: 'utf8',
  }).trim();
  execFileSync('tar', ['xzf', archive], { cwd: folder });
  console.log(`${PACKAGE}, Node ${process.version}, ${DELTAS.count} deltas, ${DELTAS.interval} ms apart`);
  console.log(
    'latency  mutations  bytes up  start->first mutation  delay p50    p95    max  last delta->end  resident',
  );
  for (const latency of LATENCIES_MILLISECONDS) console.log(row(latency, await measure(latency)));
} finally {
  bedrock.close();
  rmSync(folder, { recursive: true, force: true });
}

/** One turn in a new process. Times are milliseconds. */
async function measure(latency) {
  bedrock.sent.length = 0;
  const appsync = await startAppSync(latency);
  const start = performance.now();
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('turn.mjs', import.meta.url)), join(folder, BUNDLE)],
    {
      env: {
        PATH: process.env.PATH,
        NODE_NO_WARNINGS: '1',
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'none',
        AWS_SECRET_ACCESS_KEY: 'none',
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME: bedrock.url,
        GRAPHQL_URL: appsync.url,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let printed = '';
  child.stdout.on('data', (text) => (printed += text));
  const status = await new Promise((resolve) => child.on('exit', resolve));
  appsync.close();
  if (status !== 0) throw new Error(`the handler ended with ${status}`);
  const { mutations } = appsync;
  const delays = mutations
    .filter(({ delta }) => delta !== undefined)
    .map(({ at, delta }) => at - bedrock.sent[delta])
    .sort((one, other) => one - other);
  return {
    mutations: mutations.length,
    bytes: mutations.reduce((sum, { bytes }) => sum + bytes, 0),
    first: mutations[0].at - start,
    delays,
    tail: mutations.at(-1).at - bedrock.sent.at(-1),
    resident: JSON.parse(printed.trim().split('\n').at(-1)).residentKilobytes / 1024,
  };
}

function row(latency, { mutations, bytes, first, delays, tail, resident }) {
  const delay = (share) => delays[Math.floor((delays.length - 1) * share)].toFixed(0);
  const cells = [
    `${latency} ms`.padStart(7),
    `${mutations}`.padStart(9),
    `${bytes}`.padStart(8),
    `${first.toFixed(0)} ms`.padStart(21),
    `${delay(0.5)} ms`.padStart(9),
    `${delay(0.95)}`.padStart(5),
    `${delay(1)}`.padStart(5),
    `${tail.toFixed(0)} ms`.padStart(15),
    `${resident.toFixed(0)} MB`.padStart(8),
  ];
  return cells.join('  ');
}

/** Answers the handler's queries with one message, and its mutations after the latency. */
async function startAppSync(latency) {
  const mutations = [];
  const message = {
    id: 'message',
    conversationId: 'conversation',
    role: 'user',
    content: [{ text: 'Count.' }],
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { query, variables } = JSON.parse(body);
    let data = { listMessages: { items: [message] }, getMessage: message };
    if (query.includes('createAssistantResponseStream')) {
      const { contentBlockDeltaIndex } = variables.input;
      mutations.push({ at: performance.now(), bytes: body.length, delta: contentBlockDeltaIndex });
      data = { createAssistantResponseStream: { id: 'update' } };
    }
    setTimeout(() => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ data }));
    }, latency);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}/graphql`, mutations, close };
}
