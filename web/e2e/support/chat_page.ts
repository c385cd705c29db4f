import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Problems } from './problems.js';
import { until } from './until.js';

/** The page as a person sees it: parts by their roles and names. */
export class ChatPage {
  readonly page: Page;
  readonly problems: Problems;

  constructor(page: Page, problems: Problems) {
    this.page = page;
    this.problems = problems;
  }

  get composer(): Locator {
    return this.page.getByRole('textbox', { name: 'Message' });
  }

  get stop(): Locator {
    return this.page.getByRole('button', { name: 'Stop' });
  }

  get conversations(): Locator {
    return this.page.getByRole('navigation', { name: 'Conversations' });
  }

  /** The messages that are drawn: of a long conversation only those near the visible part. */
  get messages(): Locator {
    return this.page.getByRole('article');
  }

  get questions(): Locator {
    return this.page.getByRole('article', { name: /^Message/ });
  }

  get answers(): Locator {
    return this.page.getByRole('article', { name: /^Answer/ });
  }

  get lastAnswer(): Locator {
    return this.answers.last();
  }

  /** The blocks of the last answer's text, as they are read. */
  get lastAnswerText(): Locator {
    return this.lastAnswer.getByTestId('text');
  }

  get connectionBanner(): Locator {
    return this.page.getByRole('status').filter({ hasText: /offline|connect/i });
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name });
  }

  dialog(name: string | RegExp): Locator {
    return this.page.getByRole('dialog', { name });
  }

  /** A conversation in the list. */
  conversation(title: string | RegExp): Locator {
    return this.conversations.getByRole('link', { name: title });
  }

  /** Where the key is the only way to sign in, the page uses it at once. */
  async signInWithKey(): Promise<void> {
    const useKey = this.button('Use the API key of this server');
    await useKey.or(this.composer).waitFor();
    if (await useKey.isVisible()) await useKey.click();
    await this.composer.waitFor();
  }

  /** The user is picked from the list of the local server's issuer. */
  async signInAs(user: string): Promise<void> {
    await this.button('Sign in as a user').click();
    await this.button(new RegExp(`^${user}\\b`)).click();
    await this.waitForSignIn();
  }

  async signInWithOidc(name: string): Promise<void> {
    await this.button(/^Sign in with localhost/).click();
    await this.page.getByRole('textbox', { name: 'Name' }).fill(name);
    await this.button('Sign in').click();
    await this.waitForSignIn();
  }

  /** The page is back from the issuer, and offers no sign-in. */
  private async waitForSignIn(): Promise<void> {
    await this.page.waitForURL((url) => url.pathname === '/' && url.search === '');
    await this.page.getByRole('heading', { name: 'Sign in' }).waitFor({ state: 'hidden' });
  }

  async signOut(): Promise<void> {
    await this.button('Account').click();
    await this.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await this.button('Sign in as a user').waitFor();
  }

  async startConversation(agent?: string): Promise<void> {
    await this.page.getByRole('link', { name: 'New conversation' }).click();
    await this.composer.waitFor();
    if (agent) {
      await this.page.getByRole('combobox', { name: 'Agent' }).click();
      await this.page.getByRole('option', { name: new RegExp(`^${agent}`) }).click();
    }
  }

  async send(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** Sends a message and waits for the end of its answer. Returns the answer's text. */
  async ask(text: string): Promise<string> {
    const count = await this.answers.count();
    await this.send(text);
    await until('the answer has begun', async () => (await this.answers.count()) > count);
    await this.waitForEnd();
    return this.answerText();
  }

  async waitForEnd(timeout = 60_000): Promise<void> {
    await this.lastAnswer.and(this.page.locator('[aria-busy="false"]')).waitFor({ timeout });
  }

  async waitForText(text: string | RegExp, timeout = 15_000): Promise<void> {
    await this.lastAnswer.filter({ hasText: text }).waitFor({ timeout });
  }

  async answerText(): Promise<string> {
    return (await this.lastAnswerText.allInnerTexts()).join('\n');
  }

  /** The conversation's id, which is in the address once it has one. */
  async conversationId(): Promise<string> {
    return until('the address names the conversation', () => /#\/c\/([\w-]+)/.exec(this.page.url())?.[1]);
  }

  async expectNoHorizontalScroll(): Promise<void> {
    const overflow = await this.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBeLessThanOrEqual(0);
  }
}
