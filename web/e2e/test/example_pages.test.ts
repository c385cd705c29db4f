import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build, preview, type PreviewServer } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BrowserContext, Page } from 'playwright-core';
import { createSuite } from '../support/suite.js';

const PAGES = ['store', 'react', 'useChat', 'assistantUi', 'agUi', 'amplify'] as const;

/** The pages that docs/web-client.md shows, built as an app builds them. */
const root = resolve(import.meta.dirname, '../pages');
const outDir = mkdtempSync(join(tmpdir(), 'parlance-pages-'));

/** Its answers are the numbers to 300, each after 20 ms. */
const suite = createSuite({ parameters: { ModelId: 'parlance.deltas-300-20' } });
let files: PreviewServer;

beforeAll(async () => {
  // Amplify follows a local server only if the URL begins with HTTP in capitals.
  const url = suite.server.url.replace(/^http:/, 'HTTP:');
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    define: {
      'import.meta.env.VITE_API_URL': JSON.stringify(url),
      'import.meta.env.VITE_API_KEY': JSON.stringify(suite.server.apiKey),
      'import.meta.env': JSON.stringify({ VITE_API_URL: url, VITE_API_KEY: suite.server.apiKey }),
    },
    resolve: { conditions: ['parlance-source', 'module', 'browser', 'production'] },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      rolldownOptions: { input: PAGES.map((name) => join(root, `${name}.html`)) },
    },
  });
  files = await preview({ root, configFile: false, build: { outDir }, preview: { port: 0 } });
}, 300_000);

afterAll(async () => {
  await files.close();
  rmSync(outDir, { recursive: true });
});

/** A page of another origin than the API's. What it throws fails the test. */
async function open(name: (typeof PAGES)[number], hash = ''): Promise<Page> {
  const context = await suite.browser.newContext();
  contexts.push(context);
  context.on('weberror', (error) => errors.push(error.error()));
  const page = await context.newPage();
  await page.goto(new URL(`/${name}.html${hash}`, files.resolvedUrls?.local[0]).href);
  return page;
}

const contexts: BrowserContext[] = [];
const errors: Error[] = [];

afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  expect(errors.splice(0)).toEqual([]);
});

async function ask(page: Page, text: string): Promise<void> {
  const input = page.locator('[name=text]');
  await input.fill(text);
  await input.press('Enter');
}

const textOf = (page: Page) => page.locator('body').innerText();

describe.each(PAGES)('The example %s', (name) => {
  test('sends a message and streams its answer', async () => {
    const page = await open(name);
    await ask(page, 'Count, please.');
    await expect.poll(() => textOf(page)).toContain('0050');
    expect(await textOf(page)).not.toContain('0299');
    await expect.poll(() => textOf(page)).toContain('0299');
    expect(await textOf(page)).toContain('Count, please.');
  });
});

test('The example useChat goes on with an answer after a reload, and stops it', async () => {
  const page = await open('useChat');
  await ask(page, 'Count, please.');
  await expect.poll(() => textOf(page)).toContain('0050');
  await page.reload();
  await expect.poll(() => textOf(page)).toContain('0060');
  expect(await textOf(page)).toContain('0010');
  await page.getByText('Stop').click();
  await page.getByText('Stop').waitFor({ state: 'hidden' });
  expect(await textOf(page)).not.toContain('0299');
});
