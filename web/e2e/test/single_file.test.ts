/** The page as one file on disk, with each entry point of the local server. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { auditAnswers } from '../support/audit.js';
import type { ChatPage } from '../support/chat_page.js';
import { singleFile } from '../support/environment.js';
import { createSuite, type Suite } from '../support/suite.js';
import { until } from '../support/until.js';

const parameters = { EventsApi: 'true', WebSocketApi: 'true' };
const suite = createSuite({ users: ['ada'], oidc: true, parameters });
/** Its model counts to 500 for ten seconds. */
const slow = createSuite({ proxied: true, parameters: { ...parameters, ModelId: 'parlance.deltas-500-20' } });

interface Backend {
  suite: Suite;
  entryPoint: EntryPoint;
}

const SCRIPTED = "I am Parlance's scripted model, not a real one.";

const ALL_NUMBERS = Array.from({ length: 500 }, (_, index) => index + 1);

type EntryPoint = 'GraphQL' | 'AppSync Events' | 'WebSocket API';
const WEBSOCKET: Backend = { suite, entryPoint: 'WebSocket API' };
const BESIDE_GRAPHQL = ['AppSync Events', 'WebSocket API'] as const;

function urlOf({ suite, entryPoint }: Backend): string {
  const { url, eventsUrl = '', websocketUrl = '' } = suite.server.endpoint;
  return { GraphQL: url, 'AppSync Events': eventsUrl, 'WebSocket API': websocketUrl }[entryPoint];
}

/** The key of the entry point. Only AppSync Events has one of its own. */
function keyOf({ suite, entryPoint }: Backend): string {
  const { apiKey, eventsApiKey = '' } = suite.server.endpoint;
  return entryPoint === 'AppSync Events' ? eventsApiKey : apiKey;
}

function open(from = suite): Promise<ChatPage> {
  return from.open('', { address: pathToFileURL(singleFile).href });
}

async function fillIn({ page }: ChatPage, backend: Backend, credential = keyOf(backend)): Promise<void> {
  await page.getByRole('radio', { name: backend.entryPoint }).check();
  await page.getByRole('textbox', { name: /^URL/ }).fill(urlOf(backend));
  await page.getByLabel(/^API key/).fill(credential);
}

async function connect(backend: Backend, credential = keyOf(backend)): Promise<ChatPage> {
  const chat = await open(backend.suite);
  await fillIn(chat, backend, credential);
  await chat.button('Connect').click();
  await chat.composer.waitFor();
  return chat;
}

/** The numbers of a counting answer. */
function numbersOf(text: string): number[] {
  return Array.from(text.matchAll(/\b\d{4}\b/g), ([number]) => Number(number));
}

test('GraphQL: the chat page works from disk', async () => {
  const chat = await connect({ suite, entryPoint: 'GraphQL' });
  expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  const address = chat.page.url();
  expect(address).toMatch(/^file:.*\/parlance\.html#\/c\/[\w-]+$/);
  expect(await chat.ask('And what is AWS SAM?')).toContain('“What is AWS Lambda?”');
});

describe.each(BESIDE_GRAPHQL)('%s', (entryPoint) => {
  test('messages are one conversation, and answers are streamed', async () => {
    const chat = await connect({ suite, entryPoint });
    await chat.send('What is AWS Lambda?');
    const partial = await until('a part of the answer is shown', async () => {
      const isBusy = (await chat.lastAnswer.getAttribute('aria-busy')) === 'true';
      const text = isBusy ? await chat.answerText() : '';
      return text.length > 0 && text;
    });
    await chat.waitForEnd();
    const whole = await chat.answerText();
    expect(whole.length).toBeGreaterThan(partial.length);
    expect(whole).toContain(SCRIPTED);
    expect(await chat.ask('And what is AWS SAM?')).toContain('“What is AWS Lambda?”');
    expect(await chat.questions.allInnerTexts()).toEqual(['What is AWS Lambda?', 'And what is AWS SAM?']);
  });

  test('an answer is stopped, and asked for again', async () => {
    const chat = await connect({ suite: slow, entryPoint });
    await chat.send('Count, please.');
    await chat.waitForText(/0020/);
    await chat.stop.click();
    await chat.waitForEnd();
    expect(await chat.lastAnswer.innerText()).toContain('Stopped.');
    expect(await chat.answerText()).not.toContain('0500');
    await chat.button('Retry').click();
    await chat.waitForText(/0500/, 60_000);
    await chat.waitForEnd();
    expect(await chat.lastAnswer.innerText()).not.toContain('Stopped.');
    expect(numbersOf(await chat.answerText())).toEqual(ALL_NUMBERS);
  });

  test('an answer is whole after the connection was lost', async () => {
    const chat = await connect({ suite: slow, entryPoint });
    chat.problems.expect(/net::ERR_|WebSocket connection/);
    await chat.send('Count, please.');
    await chat.waitForText(/0020/);
    slow.proxy?.cut();
    await chat.page.getByText('The connection is lost.').waitFor();
    slow.proxy?.restore();
    await chat.waitForText(/0500/, 60_000);
    await chat.waitForEnd();
    expect(numbersOf(await chat.answerText())).toEqual(ALL_NUMBERS);
  });

  test.each(['USER_POOL', 'OIDC'] as const)('a user has a token of %s', async (issuer) => {
    const chat = await connect({ suite, entryPoint }, await suite.server.token('ada', issuer));
    expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  });

  test('a wrong key is told, and can be changed', async () => {
    const chat = await open();
    chat.problems.expect(/WebSocket connection/);
    await fillIn(chat, { suite, entryPoint }, 'da2-wrong');
    await chat.button('Connect').click();
    await chat.page.getByText(/No connection\. Is the URL right|The connection is refused/).waitFor();
    await chat.button('Change connection').click();
    await fillIn(chat, { suite, entryPoint });
    await chat.button('Connect').click();
    expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  });

  test('nothing of an answer runs', async () => {
    const file = resolve(import.meta.dirname, '../hostile.json');
    const payloads = JSON.parse(readFileSync(file, 'utf8')) as { name: string; text: unknown }[];
    const texts = payloads.map(({ text }) => text).filter((text) => typeof text === 'string');
    expect(texts.length).toBeGreaterThan(30);
    const chat = await connect({ suite, entryPoint });
    // The scripted model repeats the question.
    const answer = await chat.ask(texts.join('\n\n').slice(0, 20_000));
    expect(answer).toContain('your first question');
    expect(await auditAnswers(chat.page)).toEqual([]);
  });
});

test('what was typed is kept only if the person wants it', async () => {
  const chat = await connect(WEBSOCKET);
  await chat.page.reload();
  await chat.button('Connect').waitFor();
  expect(await chat.page.evaluate(() => JSON.stringify(localStorage))).not.toContain('da2-');
  await fillIn(chat, WEBSOCKET);
  await chat.page.getByRole('checkbox').check();
  await chat.button('Connect').click();
  await chat.composer.waitFor();
  await chat.page.reload();
  await chat.composer.waitFor();
  await chat.button('Change connection').click();
  await chat.page.getByRole('checkbox').uncheck();
  await chat.button('Connect').click();
  await chat.composer.waitFor();
  await chat.page.reload();
  await chat.button('Connect').waitFor();
});

test('says what is wrong with what was typed', async () => {
  const chat = await open();
  const alert = chat.page.getByRole('alert');
  await chat.button('Connect').click();
  expect(await alert.innerText()).toBe('The URL of GraphQL begins with https:// or http://.');
  await fillIn(chat, { suite, entryPoint: 'AppSync Events' }, 'abc');
  await chat.button('Connect').click();
  expect(await alert.innerText()).toBe('This is neither an API key nor a token.');
  await fillIn(chat, WEBSOCKET, 'da2 key');
  await chat.button('Connect').click();
  expect(await alert.innerText()).toContain('A key or a token has letters');
});
