import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');

test('docs/web-client.md shows the pages that run in the browser', () => {
  const blocks = [...read('docs/web-client.md').matchAll(/^```\w+ file=(\S+)\n(.*?)^```$/gms)];
  const files = blocks.map(([, path = '']) => path.split('/').at(-1));
  expect(files).toEqual([
    'client.ts',
    'store.ts',
    'react.tsx',
    'useChat.tsx',
    'assistantUi.tsx',
    'agUi.ts',
    'amplify.ts',
  ]);
  for (const [, path = '', code] of blocks) expect(code, path).toBe(read(path));
});
