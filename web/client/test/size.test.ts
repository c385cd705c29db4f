import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';
import { expect, test } from 'vitest';

/** The budget of the whole client, minified and compressed, in bytes. Adapters are entry points of their own. */
const BUDGET = 15_000;

test('the client with all its code fits its budget and imports nothing', async () => {
  const { output } = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: fileURLToPath(new URL('../src/index.ts', import.meta.url)),
        preserveEntrySignatures: 'strict',
      },
    },
  })) as Rolldown.RolldownOutput;
  const [chunk, ...others] = output;
  expect(others).toEqual([]);
  expect(chunk.imports).toEqual([]);
  expect(chunk.exports).toContain('createConversation');
  const bytes = gzipSync(chunk.code, { level: 9 }).byteLength;
  console.log(`client: ${bytes} bytes gzip, ${chunk.code.length} minified`);
  expect(bytes).toBeLessThanOrEqual(BUDGET);
});
