import { resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';

const EVENTS = 2_000;
const MOST_DRAWN = 100;
const JUMP_PIXELS = 6_000;
const STEP_PIXELS = 300;
const MOST_JUMPS = 300;
/** Of a position, for the rounding of heights. */
const TOLERANCE_PIXELS = 3;

const handler = resolve(import.meta.dirname, '../support/long_conversation_handler.js');
const suite = createSuite({ handler: `node ${handler}` });
let conversationId: string;

beforeAll(async () => {
  conversationId = await suite.api.createConversation();
  const turnId = await suite.api.sendMessage(conversationId, String(EVENTS));
  await suite.api.endOf(conversationId, turnId);
}, 90_000);

/** The numbers of the messages that are drawn, from their positions in the conversation. */
async function drawn(chat: ChatPage): Promise<number[]> {
  const texts = await chat.messages.allInnerTexts();
  return texts.map((text) => {
    const [, kind, turn] = /(Question|Answer) (\d+)/.exec(text) ?? [];
    if (!turn) return 1;
    return 2 * Number(turn) - (kind === 'Question' ? 1 : 0);
  });
}

/** Scrolls by the wheel, and waits until nothing moves any more. Returns how far the text has moved. */
async function scroll(chat: ChatPage, pixels: number): Promise<number> {
  const anchor = await chat.page.evaluateHandle(() => {
    const middle = innerHeight / 2;
    const articles = [...document.querySelectorAll('article')];
    return articles.find((article) => article.getBoundingClientRect().bottom > middle);
  });
  const top = () =>
    anchor.evaluate((element) => (element?.isConnected ? element.getBoundingClientRect().top : undefined));
  const before = await top();
  await chat.page.mouse.wheel(0, pixels);
  await settle(chat);
  const after = await top();
  return before === undefined || after === undefined ? NaN : before - after;
}

/** Waits until the drawn messages have kept their places for some frames, and no page of events is loading. */
async function settle(chat: ChatPage): Promise<void> {
  await chat.page.evaluate(async () => {
    const places = () =>
      [...document.querySelectorAll('article')].map((article) => article.getBoundingClientRect().top).join();
    let last = '';
    let still = 0;
    for (let frame = 0; frame < 600 && still < 6; frame += 1) {
      await new Promise(requestAnimationFrame);
      const isLoading = document.querySelector('[aria-busy="true"]') !== null;
      still = !isLoading && places() === last ? still + 1 : 0;
      last = places();
    }
  });
}

function expectConsecutive(numbers: number[]): void {
  const [first = 0] = numbers;
  expect(numbers).toEqual(numbers.map((_, index) => first + index));
  expect(numbers.length).toBeGreaterThan(0);
  expect(numbers.length).toBeLessThan(MOST_DRAWN);
}

test('2,000 events are scrolled from the newest to the oldest and back', { timeout: 150_000 }, async () => {
  const chat = await suite.signInWithKey(`#/c/${conversationId}`);
  await chat.messages.filter({ hasText: `Answer ${EVENTS / 2}` }).waitFor();
  expect((await drawn(chat)).at(-1)).toBe(EVENTS);
  const { width, height } = chat.page.viewportSize() ?? { width: 0, height: 0 };
  await chat.page.mouse.move(width / 2, height / 2);

  let jumps = 0;
  for (; jumps < MOST_JUMPS; jumps += 1) {
    await scroll(chat, -JUMP_PIXELS);
    const numbers = await drawn(chat);
    expectConsecutive(numbers);
    if (numbers[0] === 1) break;
    // Pages that are loaded and heights that become known must not move the text that is read.
    const moved = await scroll(chat, -STEP_PIXELS);
    if (jumps % 5 === 0) expect(Math.abs(moved + STEP_PIXELS)).toBeLessThanOrEqual(TOLERANCE_PIXELS);
  }
  expect(jumps).toBeLessThan(MOST_JUMPS);
  expect(jumps).toBeGreaterThan(20);

  for (let step = 0; step < 20; step += 1) {
    const moved = await scroll(chat, STEP_PIXELS);
    expect(Math.abs(moved - STEP_PIXELS)).toBeLessThanOrEqual(TOLERANCE_PIXELS);
    expectConsecutive(await drawn(chat));
  }
  await chat.button('Jump to the latest message').click();
  await chat.messages.filter({ hasText: `Answer ${EVENTS / 2}` }).waitFor();
  await settle(chat);
  expect((await drawn(chat)).at(-1)).toBe(EVENTS);
});
