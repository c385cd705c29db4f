/** The page as one file on disk, with each entry point of the local server. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { auditAnswers } from '../support/audit.js';
import type { ChatPage } from '../support/chat_page.js';
import { singleFile } from '../support/environment.js';
import { createSuite } from '../support/suite.js';
import { until } from '../support/until.js';

const suite = createSuite({
  users: ['ada'],
  oidc: true,
  proxied: true,
  parameters: { EventsApi: 'true', WebSocketApi: 'true' },
});

const SCRIPTED = "I am Parlance's scripted model, not a real one.";

type EntryPoint = 'GraphQL' | 'AppSync Events' | 'WebSocket API';
const BESIDE_GRAPHQL = ['AppSync Events', 'WebSocket API'] as const;

function urlOf(entryPoint: EntryPoint): string {
  const { url, eventsUrl = '', websocketUrl = '' } = suite.server.endpoint;
  return { GraphQL: url, 'AppSync Events': eventsUrl, 'WebSocket API': websocketUrl }[entryPoint];
}

/** The key of the entry point. Only AppSync Events has one of its own. */
function keyOf(entryPoint: EntryPoint): string {
  const { apiKey, eventsApiKey = '' } = suite.server.endpoint;
  return entryPoint === 'AppSync Events' ? eventsApiKey : apiKey;
}

function open(): Promise<ChatPage> {
  return suite.open('', { address: pathToFileURL(singleFile).href });
}

async function fillIn({ page }: ChatPage, entryPoint: EntryPoint, credential: string): Promise<void> {
  await page.getByRole('radio', { name: entryPoint }).check();
  await page.getByRole('textbox', { name: /^URL/ }).fill(urlOf(entryPoint));
  await page.getByLabel(/^API key/).fill(credential);
}

async function connect(entryPoint: EntryPoint, credential = keyOf(entryPoint)): Promise<ChatPage> {
  const chat = await open();
  await fillIn(chat, entryPoint, credential);
  await chat.button('Connect').click();
  await chat.composer.waitFor();
  return chat;
}

test('GraphQL: the chat page works from disk', async () => {
  const chat = await connect('GraphQL');
  expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  const address = chat.page.url();
  expect(address).toMatch(/^file:.*\/parlance\.html#\/c\/[\w-]+$/);
  expect(await chat.ask('And what is AWS SAM?')).toContain('your second question');
});

describe.each(BESIDE_GRAPHQL)('%s', (entryPoint) => {
  test('messages are one conversation, and answers are streamed', async () => {
    const chat = await connect(entryPoint);
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
    expect(await chat.ask('And what is AWS SAM?')).toContain('your second question');
    expect(await chat.questions.allInnerTexts()).toEqual(['What is AWS Lambda?', 'And what is AWS SAM?']);
  });

  test('an answer is stopped, and asked for again', async () => {
    const chat = await connect(entryPoint);
    await chat.send('Tell me a lot.');
    await chat.waitForText('I am');
    await chat.stop.click();
    await chat.waitForEnd();
    expect(await chat.lastAnswer.innerText()).toContain('Stopped.');
    await chat.button('Retry').click();
    await chat.waitForText('To speak with a real model instead, start the local server with --bedrock.');
    await chat.waitForEnd();
    expect(await chat.lastAnswer.innerText()).not.toContain('Stopped.');
  });

  test('an answer is whole after the connection was lost', async () => {
    const chat = await connect(entryPoint);
    chat.problems.expect(/net::ERR_|WebSocket connection/);
    await chat.send('What is AWS Lambda?');
    await chat.waitForText('I am');
    suite.proxy?.cut();
    await chat.page.getByText('The connection is lost.').waitFor();
    suite.proxy?.restore();
    await chat.waitForText(
      'To speak with a real model instead, start the local server with --bedrock.',
      60_000,
    );
    await chat.waitForEnd();
    expect(await chat.answerText()).toContain(SCRIPTED);
  });

  test.each(['USER_POOL', 'OIDC'] as const)('a user has a token of %s', async (issuer) => {
    const chat = await connect(entryPoint, await suite.server.token('ada', issuer));
    expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  });

  test('a wrong key is told, and can be changed', async () => {
    const chat = await open();
    chat.problems.expect(/WebSocket connection/);
    await fillIn(chat, entryPoint, 'da2-wrong');
    await chat.button('Connect').click();
    await chat.page.getByText(/No connection\. Is the URL right|The connection is refused/).waitFor();
    await chat.button('Change connection').click();
    await fillIn(chat, entryPoint, keyOf(entryPoint));
    await chat.button('Connect').click();
    expect(await chat.ask('What is AWS Lambda?')).toContain(SCRIPTED);
  });

  test('nothing of an answer runs', async () => {
    const file = resolve(import.meta.dirname, '../hostile.json');
    const payloads = JSON.parse(readFileSync(file, 'utf8')) as { name: string; text: unknown }[];
    const texts = payloads.map(({ text }) => text).filter((text) => typeof text === 'string');
    expect(texts.length).toBeGreaterThan(30);
    const chat = await connect(entryPoint);
    // The scripted model repeats the question.
    const answer = await chat.ask(texts.join('\n\n').slice(0, 20_000));
    expect(answer).toContain('your first question');
    expect(await auditAnswers(chat.page)).toEqual([]);
  });
});

test('what was typed is kept only if the person wants it', async () => {
  const chat = await connect('WebSocket API');
  await chat.page.reload();
  await chat.button('Connect').waitFor();
  expect(await chat.page.evaluate(() => JSON.stringify(localStorage))).not.toContain('da2-');
  await fillIn(chat, 'WebSocket API', keyOf('WebSocket API'));
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
  await fillIn(chat, 'AppSync Events', 'abc');
  await chat.button('Connect').click();
  expect(await alert.innerText()).toBe('This is neither an API key nor a token.');
  await fillIn(chat, 'WebSocket API', 'da2 key');
  await chat.button('Connect').click();
  expect(await alert.innerText()).toContain('A key or a token has letters');
});
