import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';
import { expect, test } from 'vitest';

/**
 * What a page of one conversation ships of the client, minified and compressed: requests, the realtime connection,
 * all credentials, the rule and the store. In bytes.
 */
const BUDGET = 15 * 1024;

test('the client fits its budget and imports nothing', async () => {
  const page = await bundle('./support/pageOfOneConversation.ts');
  const everything = await bundle('../src/index.ts');
  console.log(`a page of one conversation: ${page.bytes} bytes gzip, all of the client: ${everything.bytes}`);
  expect(everything.imports).toEqual([]);
  expect(page.exports).toEqual(['ParlanceError', 'createClient', 'createConversation']);
  expect(page.bytes).toBeLessThanOrEqual(BUDGET);
});

async function bundle(entry: string) {
  const { output } = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: fileURLToPath(new URL(entry, import.meta.url)),
        preserveEntrySignatures: 'strict',
      },
    },
  })) as Rolldown.RolldownOutput;
  const [{ code, imports, exports }, ...others] = output;
  expect(others).toEqual([]);
  return { imports, exports: exports.sort(), bytes: gzipSync(code, { level: 9 }).byteLength };
}
