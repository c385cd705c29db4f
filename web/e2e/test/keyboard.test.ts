import { expect, test } from 'vitest';
import type { ChatPage } from '../support/chat_page.js';
import { createSuite } from '../support/suite.js';

const suite = createSuite({ users: ['ada'], parameters: { ModelId: 'parlance.deltas-300-20' } });

const MOST_TABS = 60;

/** Presses Tab until the part with this name has the focus. */
async function tabTo(chat: ChatPage, name: RegExp): Promise<void> {
  for (let presses = 0; presses < MOST_TABS; presses += 1) {
    await chat.page.keyboard.press('Tab');
    const focused = await chat.page.evaluate(() => {
      const element = document.activeElement;
      if (!(element instanceof HTMLElement)) return '';
      return element.getAttribute('aria-label') ?? element.innerText;
    });
    if (name.test(focused)) return;
  }
  throw new Error(`${MOST_TABS} presses of Tab did not lead to ${name}.`);
}

test('A conversation needs no mouse', async () => {
  const chat = await suite.open();
  const { keyboard } = chat.page;
  await chat.button('Sign in as a user').waitFor();
  await tabTo(chat, /^Sign in as a user$/);
  await keyboard.press('Enter');
  await chat.button('ada').waitFor();
  await tabTo(chat, /^ada/);
  await keyboard.press('Enter');

  await chat.composer.waitFor();
  await expect.poll(() => chat.composer.evaluate((element) => element === document.activeElement)).toBe(true);
  await keyboard.type('First line');
  await keyboard.press('Shift+Enter');
  await keyboard.type('second line');
  await keyboard.press('Enter');
  await chat.questions.filter({ hasText: /First line\s+second line/ }).waitFor();
  await chat.waitForText(/0010/);
  await keyboard.press('Escape');
  await chat.waitForText(/stopped/i);

  await tabTo(chat, /^Retry$/);
  await keyboard.press('Enter');
  await chat.waitForEnd();
  await chat.waitForText(/0300/);
});

test('The shortcuts are listed, and each of them works', async () => {
  const chat = await suite.signIn('ada');
  await chat.composer.waitFor();
  const { keyboard } = chat.page;
  await keyboard.press('Control+/');
  const shortcuts = chat.dialog(/shortcuts/i);
  await shortcuts.waitFor();
  await keyboard.press('Escape');
  await shortcuts.waitFor({ state: 'hidden' });

  await keyboard.press('Control+K');
  const search = chat.page.getByRole('searchbox', { name: 'Search conversations' });
  await expect.poll(() => search.evaluate((element) => element === document.activeElement)).toBe(true);
});

test('The focus is seen wherever it is', async () => {
  const chat = await suite.signIn('ada');
  await chat.composer.waitFor();
  for (let presses = 0; presses < 15; presses += 1) {
    await chat.page.keyboard.press('Tab');
    const isSeen = await chat.page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return true;
      const { outlineStyle, boxShadow } = getComputedStyle(element);
      return outlineStyle !== 'none' || boxShadow !== 'none';
    });
    expect(isSeen).toBe(true);
  }
});
