// Every program of the pages, as a reader would run it.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { test } from 'node:test';
import { required } from './environment_variables.js';
import { matches, readBlocks, runPage, unmarkedPrograms } from './pages.js';

const PAGES = [
  'README.md',
  'docs/clients.md',
  'docs/tools.md',
  'docs/one-shot.md',
  'docs/events.md',
  'docs/websocket.md',
  'docs/amplify-gen2.md',
];

const server = { state: required('PARLANCE_STATE'), parlance: required('PARLANCE_PROGRAM') };

for (const page of PAGES) {
  test(`the programs of ${page} run unchanged`, async (t) => {
    const blocks = readBlocks(page);
    assert.deepEqual(unmarkedPrograms(blocks), [], 'each program says whether it is run');
    const { status, runs } = await runPage(blocks, server);
    record(page, runs);
    for (const { number, code, expected, stdout, stderr } of runs) {
      await t.test(`block ${number + 1}: ${code.trim().split('\n').at(-1)}`, () => {
        assert.notEqual(stdout, null, 'a block before it failed');
        if (expected !== null) {
          assert.ok(
            matches(stdout, expected),
            `printed:\n${stdout}\n${stderr}\nthe page shows:\n${expected}`,
          );
        }
      });
    }
    assert.equal(status, 0, runs.findLast(({ stdout }) => stdout !== null)?.stderr);
  });
}

/** Appends what was typed and printed to the file that PARLANCE_TRANSCRIPT names. */
function record(page, runs) {
  const file = process.env.PARLANCE_TRANSCRIPT;
  if (!file) return;
  const transcript = runs.map(({ code, stdout, stderr }) => {
    const typed = code
      .trim()
      .split('\n')
      .map((line) => `$ ${line}`)
      .join('\n');
    return `${typed}\n${stdout ?? '(not reached)'}${stderr ? `(standard error)\n${stderr}` : ''}`;
  });
  appendFileSync(file, `\n######## ${page}, Node ${process.version}\n\n${transcript.join('\n')}\n`);
}
