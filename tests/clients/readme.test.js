// The README's own lines, run as they stand but for the URL and the key.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { apiKey, url } from './api.js';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const snippets = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);

test('the README shows Amplify and Apollo', () => {
  assert.match(snippets[0], /aws-amplify/);
  assert.match(snippets[1], /aws-appsync-subscription-link/);
});

for (const [index, code] of snippets.entries()) {
  test(`snippet ${index + 1} of the README shows an answer as it streams`, { timeout: 60_000 }, async (t) => {
    const file = new URL(`readme-${index}.mjs`, import.meta.url);
    writeFileSync(file, here(code));
    const program = spawn(process.execPath, ['--import', new URL('api.js', import.meta.url).href, file.pathname]);
    t.after(() => {
      program.kill();
      rmSync(file);
    });
    let printed = '';
    program.stderr.on('data', (text) => process.stderr.write(text));
    for await (const text of program.stdout) {
      printed += text;
      if (printed.includes('COMPLETED')) break;
    }
    assert.match(printed, /scripted model/);
  });
}

function here(code) {
  return code
    .replaceAll('HTTP://localhost:4000/graphql', url.replace(/^http:/, 'HTTP:'))
    .replaceAll('http://localhost:4000/graphql', url)
    .replaceAll('da2-…', apiKey);
}
