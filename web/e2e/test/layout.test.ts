import { beforeAll, expect, test } from 'vitest';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada:administrators'], parameters: { ModelId: 'parlance.echo' } });

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

const WIDE = [
  `| ${'column | '.repeat(20)}\n|${'---|'.repeat(20)}\n| ${'value | '.repeat(20)}`,
  `\`\`\`\n${'x'.repeat(400)}\n\`\`\``,
  'w'.repeat(300),
  `$$${'x + '.repeat(80)} y$$`,
].join('\n\n');

let conversationId: string;

beforeAll(async () => {
  const api = await suite.apiOf('ada');
  conversationId = await api.createConversation({ title: 'Wide content' });
  await api.ask(conversationId, WIDE);
});

test('A phone shows one column without horizontal scrolling, and the list in a drawer', async () => {
  const chat = await suite.signIn('ada', `#/c/${conversationId}`, PHONE);
  await chat.waitForText(/wwww/);
  await chat.expectNoHorizontalScroll();
  expect(await chat.conversations.isVisible()).toBe(false);
  await chat.button('Open conversations').tap();
  await chat.conversation('Wide content').waitFor();
  await chat.expectNoHorizontalScroll();
  await chat.conversation('Wide content').tap();
  await chat.conversations.waitFor({ state: 'hidden' });
  await chat.expectNoHorizontalScroll();
});

test('A desktop does not scroll horizontally either', async () => {
  const chat = await suite.signIn('ada', `#/c/${conversationId}`, { viewport: { width: 1280, height: 800 } });
  await chat.waitForText(/wwww/);
  await chat.expectNoHorizontalScroll();
});

test('Text of 200 percent fits', async () => {
  const chat = await suite.signIn('ada', `#/c/${conversationId}`, { viewport: { width: 640, height: 400 } });
  await chat.waitForText(/wwww/);
  await chat.expectNoHorizontalScroll();
});

test('Light and dark follow the system', async () => {
  const brightness: number[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    const chat = await suite.signIn('ada', '', { colorScheme });
    await chat.composer.waitFor();
    const color = await chat.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const channels =
      color
        .match(/[\d.]+/g)
        ?.slice(0, 3)
        .map(Number) ?? [];
    brightness.push(channels.reduce((sum, channel) => sum + channel, 0));
  }
  expect(brightness[0]).toBeGreaterThan(600);
  expect(brightness[1]).toBeLessThan(200);
});

test('Right-to-left text runs from the right', async () => {
  const chat = await suite.signIn('ada');
  await chat.startConversation();
  await chat.ask('مرحبا بالعالم\n\nHello, world');
  const paragraphs = chat.lastAnswer.locator('p');
  const directions = await paragraphs.evaluateAll((elements) =>
    elements.map((element) => getComputedStyle(element).direction),
  );
  expect(directions).toEqual(['rtl', 'ltr']);
  await chat.composer.fill('مرحبا');
  expect(await chat.composer.evaluate((element) => getComputedStyle(element).direction)).toBe('rtl');
});

test('A user of reduced motion sees none', async () => {
  const chat = await suite.signIn('ada', `#/c/${conversationId}`, { reducedMotion: 'reduce' });
  await chat.waitForText(/wwww/);
  const moving = await chat.page.evaluate(
    () => document.getAnimations().filter(({ effect }) => effect?.getTiming().duration !== 0.01).length,
  );
  expect(moving).toBe(0);
});
