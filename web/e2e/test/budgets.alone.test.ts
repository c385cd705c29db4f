import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { pageFolder } from '../support/environment.js';
import { createSuite } from '../support/suite.js';

const suite = createSuite();

const SCRIPT_BYTES = 250_000;
const INTERACTIVE_MILLISECONDS = 1_000;
const RUNS = 7;

const zipped = (bytes: Buffer) => gzipSync(bytes, { level: 9 }).length;

test('All scripts of the page have at most 250 KB in gzip', () => {
  const files = readdirSync(pageFolder, { recursive: true, encoding: 'utf8' });
  const sizes = files
    .filter((file) => file.endsWith('.js'))
    .map((file) => ({ file, bytes: zipped(readFileSync(join(pageFolder, file))) }));
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`Scripts: ${total} bytes: ${sizes.map(({ file, bytes }) => `${file} ${bytes}`).join(', ')}`);
  expect(sizes.length).toBeGreaterThan(0);
  expect(total).toBeLessThanOrEqual(SCRIPT_BYTES);
});

test('The page takes a message within a second', { timeout: 120_000 }, async () => {
  const chat = await suite.signInWithKey();
  await chat.page.context().addInitScript(() => {
    const look = () => {
      if (document.querySelector('textarea:enabled')) performance.mark('interactive');
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  const loaded = new Map<string, number>();
  chat.page.on('response', (response) => {
    const count = async () => loaded.set(response.url(), zipped(await response.body()));
    if (response.request().resourceType() !== 'fetch') count().catch(() => undefined);
  });
  const times: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    await chat.page.reload();
    await chat.composer.waitFor();
    const marked = await chat.page.waitForFunction(
      () => performance.getEntriesByName('interactive')[0]?.startTime,
    );
    times.push((await marked.jsonValue()) ?? Infinity);
  }
  times.sort((one, other) => one - other);
  const bytes = [...loaded.values()].reduce((sum, size) => sum + size, 0);
  console.log(
    `Initial load: ${bytes} bytes in gzip; interactive after ${times.map(Math.round).join(', ')} ms`,
  );
  expect(times[Math.floor(RUNS / 2)]).toBeLessThan(INTERACTIVE_MILLISECONDS);
});
