// Pages whose fenced blocks are programs. The words after a block's language say what becomes of it:
//   run        a shell block, run in order with the others in one bash session
//   file=NAME  a program, saved under that name in the session's current folder
//   output     what the last shell block has printed; "…" stands for any text within a line
//   server     a shell command that starts a server, which runs until the page has ended
//   skip       a block that cannot run here, such as a deployment
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** For a whole page; most of it is npm's. */
const TIMEOUT_MILLISECONDS = 15 * 60 * 1000;
const PROGRAM_LANGUAGES = ['sh', 'bash', 'js', 'mjs', 'ts'];

/** The blocks of a page that have one of those words, and their order. */
export function readBlocks(path) {
  const page = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const fences = [...page.matchAll(/^```(\w+)?(?: (\S+))?\n(.*?)^```$/gms)];
  return fences.map(([, language, word, text]) => ({ language, word, text }));
}

/** Programs without a word: nobody would run them. */
export function unmarkedPrograms(blocks) {
  const isMarked = ({ word }) => ['run', 'server', 'skip'].includes(word) || word?.startsWith('file=');
  return blocks.filter((block) => PROGRAM_LANGUAGES.includes(block.language) && !isMarked(block));
}

/**
 * Runs a page as its reader would: in an empty folder, with only the packages that the page installs. The
 * folder is named `parlance`, and a server runs in it: the running one, unless the page starts one. Resolves
 * to the shell blocks with what they printed, and with the outputs that the page shows.
 */
export async function runPage(blocks, { state, parlance }) {
  const scratch = mkdtempSync(join(tmpdir(), 'parlance-docs-'));
  try {
    mkdirSync(join(scratch, 'parlance'));
    const startsServer = blocks.some(({ word }) => word === 'server');
    if (!startsServer) symlinkSync(state, join(scratch, 'parlance', '.parlance'));
    writeCargo(join(scratch, 'bin'), parlance);
    const { script, runs } = toScript(blocks, scratch);
    writeFileSync(join(scratch, 'page.sh'), script);
    const status = await bash(scratch);
    return { status, runs: runs.map((run) => ({ ...run, ...printed(scratch, run.number) })) };
  } finally {
    // A server that is ending still writes.
    rmSync(scratch, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** `cargo run -q -- ARGUMENTS` starts the build under test. A server takes a free port. */
function writeCargo(folder, parlance) {
  mkdirSync(folder);
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const lines = [
    '#!/bin/sh',
    'while [ "$1" != -- ]; do shift; done',
    'shift',
    `case "$1" in --*) exec '${parlance}' "$@" --no-page --port 0 --root '${root}' ;; esac`,
    `exec '${parlance}' "$@"`,
    '',
  ];
  writeFileSync(join(folder, 'cargo'), lines.join('\n'));
  chmodSync(join(folder, 'cargo'), 0o755);
}

function toScript(blocks, scratch) {
  const runs = [];
  const lines = ['set -e', `cd '${scratch}/parlance'`];
  for (const { word, text } of blocks) {
    if (word === 'run') {
      runs.push({ number: runs.length, code: text, expected: null });
      const output = join(scratch, String(runs.length - 1));
      lines.push(`{\n${text}} > '${output}.out' 2> '${output}.err'`);
    } else if (word === 'server') {
      lines.push(`{\n${text}} > '${join(scratch, 'server.log')}' 2>&1 &`);
      lines.push('until [ -s .parlance/endpoint.json ]; do kill -0 $!; sleep 0.1; done');
    } else if (word?.startsWith('file=')) {
      lines.push(`cat > '${word.slice('file='.length)}' <<'END_OF_FILE'\n${text}END_OF_FILE`);
    } else if (word === 'output') {
      runs.at(-1).expected = text;
    }
  }
  return { script: `${lines.join('\n')}\n`, runs };
}

function bash(scratch) {
  // The page's commands must not see the environment of the test's own npm and Node.
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_|INIT_CWD|PARLANCE_|AWS_)/i.test(name),
  );
  const env = {
    ...Object.fromEntries(own),
    PATH: [join(scratch, 'bin'), dirname(process.execPath), process.env.PATH].join(delimiter),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    npm_config_prefer_offline: 'true',
  };
  return new Promise((resolve, reject) => {
    // A process group of its own, so that a program that hangs ends with the shell.
    const shell = spawn('bash', [join(scratch, 'page.sh')], { env, stdio: 'inherit', detached: true });
    const timer = setTimeout(() => process.kill(-shell.pid, 'SIGKILL'), TIMEOUT_MILLISECONDS);
    shell.on('error', reject);
    shell.on('exit', (code, signal) => {
      clearTimeout(timer);
      endGroup(shell.pid);
      resolve(code ?? signal);
    });
  });
}

/** Ends what the shell has started and left behind, such as a server. */
function endGroup(id) {
  try {
    process.kill(-id, 'SIGTERM');
  } catch {
    // The group has ended.
  }
}

function printed(scratch, number) {
  const read = (kind) => {
    try {
      return readFileSync(join(scratch, `${number}.${kind}`), 'utf8');
    } catch {
      return null; // a block before it failed
    }
  };
  return { stdout: read('out'), stderr: read('err') };
}

/** Whether the text is the expected one, where "…" stands for any text within a line. */
export function matches(text, expected) {
  const escaped = expected
    .trim()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('[^\\n]*')}$`).test(text.trim());
}
