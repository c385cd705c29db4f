import { resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';
import { until } from '../support/until.js';

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
  await suite.api.sendMessage(conversationId, String(EVENTS));
  await until('the events are written', async () => !(await suite.api.isAnswering(conversationId)), 60_000);
}, 90_000);

/** A message that is drawn: its position in the conversation, and where it is on the screen. */
interface Drawn {
  position: number;
  top: number;
  bottom: number;
}

async function drawn(chat: ChatPage): Promise<Drawn[]> {
  return chat.messages.evaluateAll((articles) =>
    articles.map((article) => {
      const [, kind, turn] = /(Question|Answer) (\d+)/.exec((article as HTMLElement).innerText) ?? [];
      const { top, bottom } = article.getBoundingClientRect();
      return { position: turn ? 2 * Number(turn) - (kind === 'Question' ? 1 : 0) : 1, top, bottom };
    }),
  );
}

/** Scrolls by the wheel, and waits until nothing moves any more. */
async function scroll(chat: ChatPage, pixels: number): Promise<void> {
  await chat.page.mouse.wheel(0, pixels);
  await settle(chat);
}

/** Scrolls, and compares how far a message has moved that is on the screen before and after. */
async function expectSteady(chat: ChatPage, pixels: number, height: number): Promise<void> {
  const before = await drawn(chat);
  const line = pixels < 0 ? height / 4 : (height * 3) / 4;
  const read = before.find(({ bottom }) => bottom > line);
  await scroll(chat, pixels);
  const after = await drawn(chat);
  const now = after.find(({ position }) => position === read?.position);
  const places = {
    read,
    now,
    drawn: [before, after].map((messages) => messages.map(({ position }) => position)),
  };
  expect(
    Math.abs((read?.top ?? 0) - pixels - (now?.top ?? Infinity)),
    JSON.stringify(places),
  ).toBeLessThanOrEqual(TOLERANCE_PIXELS);
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

function expectConsecutive(messages: Drawn[]): void {
  const numbers = messages.map(({ position }) => position);
  const [first = 0] = numbers;
  expect(numbers).toEqual(numbers.map((_, index) => first + index));
  expect(numbers.length).toBeGreaterThan(0);
  expect(numbers.length).toBeLessThan(MOST_DRAWN);
}

test('2,000 events are scrolled from the newest to the oldest and back', { timeout: 150_000 }, async () => {
  const chat = await suite.signInWithKey(`#/c/${conversationId}`);
  await chat.messages.filter({ hasText: `Answer ${EVENTS / 2}` }).waitFor();
  expect((await drawn(chat)).at(-1)?.position).toBe(EVENTS);
  const { width, height } = chat.page.viewportSize() ?? { width: 0, height: 0 };
  await chat.page.mouse.move(width / 2, height / 2);

  let jumps = 0;
  for (; jumps < MOST_JUMPS; jumps += 1) {
    await scroll(chat, -JUMP_PIXELS);
    const messages = await drawn(chat);
    expectConsecutive(messages);
    if (messages[0]?.position === 1) break;
    // Pages that are loaded and heights that become known must not move the text that is read.
    if (jumps % 5 === 0) await expectSteady(chat, -STEP_PIXELS, height);
  }
  expect(jumps).toBeLessThan(MOST_JUMPS);
  expect(jumps).toBeGreaterThan(20);

  await scroll(chat, -JUMP_PIXELS);
  for (let step = 0; step < 20; step += 1) {
    await expectSteady(chat, STEP_PIXELS, height);
    expectConsecutive(await drawn(chat));
  }
  await chat.button('Jump to the latest message').click();
  await chat.messages.filter({ hasText: `Answer ${EVENTS / 2}` }).waitFor();
  await settle(chat);
  expect((await drawn(chat)).at(-1)?.position).toBe(EVENTS);
});
