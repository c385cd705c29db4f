// A local server with a stack of one of the folders of tests/.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { required } from './environment_variables.js';
import { until } from './until.js';

const PARLANCE = required('PARLANCE_PROGRAM');

/**
 * Starts a server with a copy of a stack, whose nested template's functions are a program for Node. Resolves
 * with the server's endpoint.json and with functions for tests.
 */
export async function startServer(stack, { program, options = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'parlance-entry-'));
  const [root, state] = [join(folder, 'stack'), join(folder, 'state')];
  cpSync(new URL(`../${stack}/stack`, import.meta.url), root, { recursive: true });
  if (program) {
    const bootstrap = join(root, 'functions', 'bootstrap');
    const path = fileURLToPath(new URL(program, import.meta.url));
    writeFileSync(bootstrap, `#!/bin/sh\nexec '${process.execPath}' '${path}'\n`);
    chmodSync(bootstrap, 0o755);
  }
  const server = spawn(
    PARLANCE,
    ['--ephemeral', '--no-page', '--port', '0', '--state', state, '--root', root, ...options],
    { stdio: 'ignore' },
  );
  const endpoint = await until(() => JSON.parse(readFileSync(join(state, 'endpoint.json'))));
  return {
    endpoint,
    token: (name) => execFileSync(PARLANCE, ['token', name, '--state', state], { encoding: 'utf8' }).trim(),
    async stop() {
      if (server.exitCode === null && server.kill('SIGINT')) await once(server, 'exit');
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
