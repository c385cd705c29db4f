import { beforeAll, expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const CLAUDE = 'anthropic.claude-sonnet-4-5-20250929-v1:0';

const suite = createSuite({
  users: ['ada:administrators', 'bob', 'eve'],
  parameters: {
    ModelId: 'parlance.echo',
    GuardrailId: 'house1',
    FallbackModelIds: CLAUDE,
    MoreModelArns: ['parlance', 'anthropic']
      .map((provider) => `arn:aws:bedrock:*::foundation-model/${provider}.*`)
      .join(','),
  },
});

beforeAll(async () => {
  const api = await suite.apiOf('ada');
  const agents = {
    thinker: { modelId: 'parlance.reasoning' },
    secretive: { modelId: 'parlance.reasoning-redacted' },
    speechless: { modelId: 'parlance.reasoning-only' },
    deep: { modelId: 'parlance.reasoning-long' },
    retired: { modelId: 'parlance.retired', fallbackModelIds: ['parlance.echo'] },
    recalling: { modelId: CLAUDE, systemPrompt: 'You answer briefly. '.repeat(700) },
    hasty: { modelId: 'parlance.echo', guardrail: { mode: 'ASYNC' } },
  };
  for (const [id, settings] of Object.entries(agents)) await api.putAgent({ id, ...settings });
});

test('Reasoning is folded above the answer, with its time, and unfolds', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation('thinker');
  const answer = await chat.ask('What is a pond?');
  const fold = chat.lastAnswer.getByRole('button', { name: /^Thought for \d+ s/ });
  expect(await fold.getAttribute('aria-expanded')).toBe('false');
  const reasoning = chat.lastAnswer.getByTestId('reasoning');
  const label = await reasoning.innerText();
  await fold.click();
  expect(await fold.getAttribute('aria-expanded')).toBe('true');
  const text = (await reasoning.innerText()).slice(label.length).trim();
  expect(text.length).toBeGreaterThan(10);
  expect(answer).not.toContain(text);

  await chat.page.reload();
  await chat.lastAnswer.getByRole('button', { name: /^Thought for \d+ s/ }).waitFor();
});

test('While the model thinks a clock runs, and no word of it is announced', async () => {
  const chat = await suite.signIn('bob', '', { viewport: { width: 375, height: 700 } });
  await chat.button('Open conversations').click();
  await chat.startConversation('deep');
  await chat.send('Think for long.');
  const fold = chat.lastAnswer.getByRole('button', { name: /^Thinking… \d+ s/ });
  await fold.click();
  const reasoning = chat.lastAnswer.getByTestId('reasoning');
  const seen = await reasoning.innerText();
  await expect.poll(async () => (await reasoning.innerText()).length).toBeGreaterThan(seen.length + 100);
  expect(await chat.page.locator('[aria-live], [role=status], [role=log]').allInnerTexts()).not.toContain(
    seen,
  );
  await chat.expectNoHorizontalScroll();
  await chat.waitForEnd();
  await chat.lastAnswer.getByRole('button', { name: /^Thought for/ }).waitFor();
  expect(await chat.answerText()).not.toBe('');
});

test('Reasoning that the model does not show is said to be hidden', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation('secretive');
  await chat.ask('What is a pond?');
  await chat.lastAnswer.getByRole('button', { name: /^Thought/ }).click();
  await chat.lastAnswer.getByText('The model does not show its reasoning.').waitFor();
});

test('A model that thinks and says nothing has given no answer', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation('speechless');
  await chat.send('What is a pond?');
  await chat.lastAnswer.getByText('The model has thought and then said nothing.').waitFor();
  await chat.lastAnswer.getByRole('button', { name: 'Retry' }).waitFor();
});

test('The tokens of an answer are told apart, also those of the cache', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation('recalling');
  await chat.ask('One');
  await chat.ask('Two');
  const usage = chat.lastAnswer.getByRole('button', { name: /tokens$/ });
  await usage.click();
  await chat.lastAnswer.getByText(/tokens read, [\d,]+ read from the cache/).waitFor();
});

test('Another model that has answered is named', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation('retired');
  expect(await chat.ask('Anybody there?')).toBe('Anybody there?');
  await chat.lastAnswer.getByText('Answered by parlance.echo.').waitFor();
});

test('What a guardrail has done is a sentence, and blocked text is taken back', async () => {
  const chat = await suite.signIn('bob');
  await chat.startConversation();
  await chat.ask('Tell me about the forbidden topic.');
  await chat.lastAnswer.getByText('A guardrail has intervened in the message').waitFor();
  await chat.startConversation('hasty');
  const answer = await chat.ask('This is the secret recipe.');
  expect(answer).not.toContain('secret recipe');
  await chat.lastAnswer.getByText(/in the answer because of its policy: blocked words/).waitFor();
});

test('A conversation gets its title while it is open, in its heading and in the list', async () => {
  const chat = await suite.signIn('eve');
  await chat.startConversation();
  await chat.ask('Ponds in summer');
  const title = async () => {
    const id = await chat.conversationId();
    const { getConversation } = await (
      await suite.apiOf('eve')
    ).request<{ getConversation: { title: string | null } }>(
      'query ($id: ID!) { getConversation(id: $id) { title } }',
      { id },
    );
    return getConversation.title;
  };
  await expect.poll(title).toMatch(/Ponds in summer/);
  await chat.page.getByRole('heading', { level: 1, name: /Ponds in summer/ }).waitFor();
  await chat.conversation(/Ponds in summer/).waitFor();
});

test('An administrator chooses a model by what it can do', async () => {
  const chat = await suite.signIn('ada', '#/agents');
  await chat.button('New agent').click();
  const form = chat.page.getByRole('form', { name: 'New agent' });
  await form.getByText('Choose from the models of this deployment').click();
  const models = form.getByRole('list', { name: 'Models' });
  await models.getByRole('button', { name: /claude-sonnet-4-5.*tools, reasoning/ }).click();
  expect(await form.getByLabel('Model', { exact: true }).inputValue()).toContain('claude-sonnet-4-5');
  await form.getByLabel('Id', { exact: true }).fill('sonnet');
  await form.getByLabel('Reasoning', { exact: true }).selectOption('much');
  await form.getByLabel('Prompt caching').selectOption('for an hour');
  await form.getByLabel('Fallback models').fill('amazon.nova-lite-v1:0');
  await form.getByLabel('Text is shown').selectOption('after it is assessed');
  await form.getByRole('button', { name: 'Put agent' }).click();
  const put = chat.page.getByRole('form', { name: 'Agent sonnet' });
  await put.getByText('Version 1').first().waitFor();
  expect(await put.getByLabel('Reasoning', { exact: true }).inputValue()).toBe('HIGH');
  expect(await put.getByLabel('Prompt caching').inputValue()).toBe('ONE_HOUR');
  expect(await put.getByLabel('Fallback models').inputValue()).toBe('amazon.nova-lite-v1:0');
});
