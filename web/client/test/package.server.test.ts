import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocalServer } from './support/server.js';

const run = promisify(execFile);
const client = fileURLToPath(new URL('..', import.meta.url));
let server: LocalServer;
let folder: string;

beforeAll(async () => {
  server = await LocalServer.start();
  folder = await mkdtemp(join(tmpdir(), 'parlance-package-'));
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

test('the package as it is published runs the example of its README', { timeout: 300_000 }, async () => {
  const installed = join(folder, 'node_modules/parlance-client');
  await mkdir(installed, { recursive: true });
  await run('npm', ['run', 'generate'], { cwd: client });
  await run('npx', ['tsc', '-p', 'tsconfig.build.json', '--outDir', join(installed, 'dist')], {
    cwd: client,
  });
  await cp(join(client, 'package.json'), join(installed, 'package.json'));
  const readme = await readFile(join(client, 'README.md'), 'utf8');
  const [, example = ''] = /```js file=chat\.mjs\n(.*?)```/s.exec(readme) ?? [];
  const program = example
    .replace('http://localhost:4000/graphql', server.url)
    .replace('da2-…', server.apiKey);
  await writeFile(join(folder, 'chat.mjs'), program);
  const { stdout } = await run('node', ['--experimental-websocket', 'chat.mjs'], {
    cwd: folder,
    timeout: 60_000,
  });
  const lines = stdout.trim().split('\n');
  expect(lines.at(-1)).toMatch(/^IDLE I am Parlance's scripted model, not a real one\./);
  expect(lines.at(0)).toMatch(/^(SENDING|QUEUED|RUNNING)/);
});
