import type { BrowserContext } from 'playwright-core';
import { expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';
import { until } from '../support/until.js';

const suite = createSuite({ users: ['ada', 'bob'], oidc: true });

/** As where the page is deployed: there the configuration has no key. */
async function withoutKey(context: BrowserContext): Promise<void> {
  await context.route('**/config.json', async (route) => {
    const response = await route.fetch();
    const config = (await response.json()) as { signIn: { mode: string; apiKey?: string }[] };
    for (const method of config.signIn) delete method.apiKey;
    await route.fulfill({ response, json: config });
  });
}

test('An API key is pasted', async () => {
  const chat = await suite.open('', { prepare: withoutKey });
  await chat.page.getByLabel('API key').fill(suite.server.apiKey);
  await chat.button('Use the API key').click();
  expect(await chat.ask('Hello!')).toContain('scripted model');
});

test('A wrong API key is refused in words', async () => {
  const chat = await suite.open('', { prepare: withoutKey });
  chat.problems.expect(/status of 401/);
  await chat.page.getByLabel('API key').fill('da2-wrong');
  await chat.button('Use the API key').click();
  await chat.page.getByRole('alert').filter({ hasText: /key/ }).waitFor();
});

test('An API key in the fragment signs in and leaves the address', async () => {
  const chat = await suite.open(`#key=${suite.server.apiKey}`, { prepare: withoutKey });
  await chat.composer.waitFor();
  expect(chat.page.url()).not.toContain(suite.server.apiKey);
  expect(await chat.page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
  expect(await chat.ask('Hello!')).toContain('scripted model');
});

test('A user of the pool is picked from the list, stays signed in over a reload, and signs out', async () => {
  const chat = await suite.signIn('ada');
  expect(await chat.ask('Hello!')).toContain('scripted model');
  expect(new URL(chat.page.url()).search).toBe('');
  await chat.page.reload();
  await chat.composer.waitFor();
  await chat.signOut();
  await chat.page.reload();
  await chat.button('Sign in as a user').waitFor();
});

test('A user of the OpenID Connect provider enters a name', async () => {
  const chat = await suite.open();
  await chat.signInWithOidc('carol');
  expect(await chat.ask('Hello!')).toContain('scripted model');
});

test('Each user sees conversations of their own', async () => {
  const [ada, bob] = [await suite.signIn('ada'), await suite.signIn('bob')];
  const api = await suite.apiOf('bob');
  await api.createConversation({ title: 'Notes of Bob' });
  await bob.page.reload();
  await bob.conversation('Notes of Bob').waitFor();
  await ada.page.reload();
  await ada.composer.waitFor();
  expect(await ada.conversation('Notes of Bob').count()).toBe(0);
});

test('A token that is about to expire is refreshed before the next request', async () => {
  const chat = await suite.open('', { prepare: (context) => context.clock.install() });
  await chat.signInAs('ada');
  const tokens: string[] = [];
  const refreshes: string[] = [];
  chat.page.on('request', (request) => {
    const isGraphql = request.url() === suite.server.url && request.method() === 'POST';
    if (isGraphql) tokens.push(request.headers()['authorization'] ?? '');
    if (request.postData()?.includes('grant_type=refresh_token')) refreshes.push(request.url());
  });
  await chat.ask('Before');
  const before = tokens.at(-1);
  await chat.page.clock.fastForward('01:00:00');
  await chat.ask('After');
  expect(refreshes).toHaveLength(1);
  await until('the new token is sent', () => tokens.at(-1) !== before);
});
