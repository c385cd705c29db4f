import { beforeAll, expect, test } from 'vitest';
import { answerText } from '../support/api.js';
import { createSuite } from '../support/suite.js';
import { until } from '../support/until.js';

const suite = createSuite({ users: ['ada:administrators'], parameters: { MessagesPerMinute: '0' } });

beforeAll(async () => {
  const administrator = await suite.apiOf('ada');
  const models = {
    counter: 'parlance.deltas-200-20',
    cutter: 'parlance.max-tokens',
    failing: 'parlance.forbidden',
    throttled: 'parlance.throttled-midway',
    echo: 'parlance.echo',
  };
  for (const [id, modelId] of Object.entries(models)) await administrator.putAgent({ id, modelId });
});

test('An answer of a new conversation is shown while it is streamed', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('counter');
  await chat.send('Count, please.');
  await chat.questions.filter({ hasText: 'Count, please.' }).waitFor();
  await chat.waitForText(/0001/);
  expect(await chat.answerText()).not.toContain('0200');
  await chat.waitForEnd();
  const api = await suite.apiOf('ada');
  const turn = await api.lastTurn(await chat.conversationId());
  expect((await chat.answerText()).trim()).toBe(answerText(turn).trim());
});

test('An answer is stopped, and its text stays', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('counter');
  await chat.send('Count, please.');
  await chat.waitForText(/0010/);
  await chat.stop.click();
  await chat.waitForEnd();
  await chat.waitForText(/stopped/i);
  const turn = await (await suite.apiOf('ada')).lastTurn(await chat.conversationId());
  expect(turn.status).toBe('CANCELLED');
  expect((await chat.answerText()).trim()).toBe(answerText(turn).trim());
});

test('A failure is said in words and can be retried', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('failing');
  await chat.send('Hello!');
  await chat.waitForEnd();
  const failure = chat.lastAnswer.getByRole('alert');
  expect(await failure.innerText()).toMatch(/model/i);
  await (await suite.apiOf('ada')).putAgent({ id: 'failing', modelId: 'parlance.echo' });
  await chat.button('Retry').click();
  await chat.waitForText('Hello!');
  await chat.waitForEnd();
  expect(await chat.answers.count()).toBe(1);
  expect(await chat.lastAnswer.getByRole('alert').count()).toBe(0);
});

test('An answer that fails midway keeps its text and can be retried', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('throttled');
  await chat.send('Hello!');
  await chat.lastAnswer.getByRole('alert').waitFor();
  expect(await chat.answerText()).toContain('I am Parlance');
  await chat.button('Retry').waitFor();
});

test('An answer that was cut at its longest is continued', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('cutter');
  await chat.ask('Hello!');
  const before = await chat.answerText();
  await chat.button('Continue').click();
  await until('the answer goes on', async () => (await chat.answerText()).length > before.length);
  await chat.waitForEnd();
  expect(await chat.answers.count()).toBe(1);
  expect(await chat.answerText()).toContain(before.trim());
});

test('The last message is edited, and its answer replaced', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  await chat.ask('The first text');
  await chat.questions.last().hover();
  await chat.questions.last().getByRole('button', { name: 'Edit' }).click();
  await chat.page.getByRole('textbox', { name: 'Edit message' }).fill('Another text');
  await chat.button('Send again').click();
  await chat.waitForText('Another text');
  await chat.waitForEnd();
  expect(await chat.questions.allInnerTexts()).toEqual([expect.stringContaining('Another text')]);
  expect(await chat.answers.count()).toBe(1);
});

test('A message that is refused for its length says so and stays', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  await chat.send('x'.repeat(200_000));
  await chat.page.getByRole('alert').filter({ hasText: /long/ }).waitFor();
});

test('A draft is kept over a reload, for its conversation alone', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  await chat.ask('First');
  await chat.composer.fill('A thought that is not finished');
  await chat.page.reload();
  await expect.poll(() => chat.composer.inputValue()).toBe('A thought that is not finished');
  await chat.startConversation();
  await expect.poll(() => chat.composer.inputValue()).toBe('');
});

test('A link leads to a conversation, also before the sign-in', async () => {
  const api = await suite.apiOf('ada');
  const id = await api.createConversation({ title: 'Linked', agentId: 'echo' });
  await api.ask(id, 'A text to find again');
  const chat = await suite.signIn('ada', `#/c/${id}`);
  await chat.waitForText('A text to find again');
  expect(await chat.page.title()).toContain('Linked');
});

test('A link to no conversation says so', async () => {
  const chat = await suite.signIn('ada', '#/c/there-is-none');
  await chat.page.getByText(/There is no conversation/).waitFor();
});

test('The agent that answers is picked and shown', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  expect(await chat.ask('Exactly this')).toBe('Exactly this');
  await chat.page.reload();
  await chat.page.getByRole('combobox', { name: 'Agent' }).filter({ hasText: 'echo' }).waitFor();
});

test('The tokens of an answer are shown', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  await chat.ask('Hello!');
  await chat.lastAnswer.getByRole('button', { name: '2 tokens' }).click();
  await chat.lastAnswer.getByText('1 token read; 1 token of output.').waitFor();
});

test('A code block is copied', async () => {
  const chat = await suite.signIn('ada', '', { permissions: ['clipboard-read', 'clipboard-write'] });
  await chat.startConversation('echo');
  await chat.ask('```js\nconst answer = 42;\n```');
  await chat.lastAnswer.getByRole('button', { name: 'Copy code' }).click();
  const copied = () => chat.page.evaluate(() => navigator.clipboard.readText());
  await expect.poll(copied).toBe('const answer = 42;\n');
});

test('Markdown is shown as headings, lists, tables and math', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  await chat.ask('## Title\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n$x^2$ and **bold**');
  const answer = chat.lastAnswer;
  await answer.getByRole('heading', { name: 'Title' }).waitFor();
  expect(await answer.getByRole('listitem').count()).toBe(2);
  expect(await answer.getByRole('cell').allInnerTexts()).toEqual(['1', '2']);
  expect(await answer.locator('math').count()).toBe(1);
  expect(await answer.locator('strong').innerText()).toBe('bold');
});

test('An image of an answer is loaded only after a click', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation('echo');
  const requests: string[] = [];
  await chat.page.context().route('https://images.example/**', async (route) => {
    requests.push(route.request().url());
    await route.abort();
  });
  await chat.ask('![A cat](https://images.example/cat.png)');
  expect(requests).toEqual([]);
  chat.problems.expect(/net::ERR_FAILED/);
  await chat.lastAnswer.getByRole('button', { name: /A cat/ }).click();
  await expect.poll(() => requests).toEqual(['https://images.example/cat.png']);
});
