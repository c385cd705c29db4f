import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ChatPage } from '../support/chat_page.js';
import { inParts, longAnswer, wordNumbers } from '../support/long_answer.js';
import { createSuite } from '../support/suite.js';
import { traceMainThread } from '../support/trace.js';
import { UpdateFeed } from '../support/update_feed.js';

const suite = createSuite({ parameters: { ModelId: 'parlance.silent' } });

const WORDS = 20_000;
const UPDATES_PER_SECOND = 60;
const UPDATES = 1_000;
const LONGEST_TASK_MILLISECONDS = 50;
const BYTES_PER_WORD = 1_500;
const BYTES_KEPT = 3_000_000;

const answer = longAnswer(WORDS);
const allWords = Array.from({ length: WORDS }, (_, index) => index + 1);

async function openWithFeed(): Promise<{ chat: ChatPage; feed: UpdateFeed }> {
  let feed: UpdateFeed | undefined;
  const chat = await suite.signInWithKey('', {
    prepare: async (context) => {
      feed = await UpdateFeed.install(context);
    },
  });
  if (!feed) throw new Error('The feed is not installed.');
  return { chat, feed };
}

async function ask(chat: ChatPage, feed: UpdateFeed): Promise<void> {
  // The page follows the conversation before its turn is running: a silent model sends no update after that.
  const conversationId = await suite.api.createConversation();
  await chat.page.goto(`${suite.server.pageUrl}#/c/${conversationId}`);
  await feed.follows(conversationId);
  const isFeeding = feed.begin();
  await chat.send('Write 20,000 words.');
  await isFeeding;
}

/** Sends the parts at an even pace, by the clock: a part that is late is followed by the next one at once. */
async function stream(feed: UpdateFeed, parts: string[]): Promise<void> {
  const start = performance.now();
  for (const [index, part] of parts.entries()) {
    const due = start + (index * 1000) / UPDATES_PER_SECOND;
    const wait = due - performance.now();
    if (wait > 0) await delay(wait);
    feed.send(part);
  }
}

test(
  '20,000 words at 60 updates a second are shown whole, and block no click',
  { timeout: 180_000 },
  async () => {
    const { chat, feed } = await openWithFeed();
    await ask(chat, feed);
    const { tasks, tasksByClock } = await traceMainThread(suite.browser, chat.page, async () => {
      await stream(feed, inParts(answer, UPDATES));
      feed.end();
      await chat.waitForEnd();
    });
    expect(wordNumbers(await chat.answerText())).toEqual(allWords);
    console.log(
      `Longest tasks: ${format(tasks)} ms of the processor, ${format(tasksByClock)} ms by the clock; ` +
        `${tasks.length} over 10 ms`,
    );
    expect(tasks[0] ?? 0).toBeLessThan(LONGEST_TASK_MILLISECONDS);
  },
);

test('The memory grows with the text alone, and is given back', { timeout: 180_000 }, async () => {
  const { chat, feed } = await openWithFeed();
  const cdp = await chat.page.context().newCDPSession(chat.page);
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize;
  };
  const sizes: { quarter: number; half: number; end: number; left: number }[] = [];
  for (let round = 0; round < 3; round += 1) {
    await ask(chat, feed);
    const parts = inParts(answer, 400);
    const after = async (from: number, to: number) => {
      for (const part of parts.slice(from, to)) feed.send(part);
      const last = wordNumbers(parts.slice(0, to).join('')).at(-2) ?? 0;
      // Nothing is between the words of two cells.
      await chat.waitForText(new RegExp(`w${last}(?!\\d)`), 60_000);
      return heap();
    };
    const [quarter, half, end] = [await after(0, 100), await after(100, 200), await after(200, 400)];
    feed.end();
    await chat.waitForEnd();
    await chat.startConversation();
    sizes.push({ quarter, half, end, left: await heap() });
  }
  const inMegabytes = (size: number) => (size / 1e6).toFixed(1);
  for (const { quarter, half, end, left } of sizes) {
    console.log(
      `Heap in MB at 25, 50, 100 % and after leaving: ${[quarter, half, end, left].map(inMegabytes).join(', ')}`,
    );
  }
  for (const { half, end } of sizes) expect((end - half) / (WORDS / 2)).toBeLessThan(BYTES_PER_WORD);
  const [first, , third] = sizes;
  expect((third?.left ?? 0) - (first?.left ?? 0)).toBeLessThan(BYTES_KEPT);
});

const format = (milliseconds: number[]) =>
  milliseconds
    .slice(0, 5)
    .map((time) => time.toFixed(0))
    .join(', ');
