import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, type TestContext } from 'vitest';
import { Api } from './api.js';
import { ChatPage } from './chat_page.js';
import { chromiumPath, failuresFolder } from './environment.js';
import { watch, type Problems } from './problems.js';
import { Proxy } from './proxy.js';
import { Server, type ServerOptions } from './server.js';

export interface SuiteOptions extends ServerOptions {
  /** Leads the browser's connections through `suite.proxy`, which can cut them. */
  proxied?: boolean;
}

export interface OpenOptions extends BrowserContextOptions {
  /** The address of another page than the server's. */
  address?: string;
  /** Before the page is opened. */
  prepare?: (context: BrowserContext) => Promise<void>;
}

const ACTION_TIMEOUT = 15_000;

const CHROMIUM_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A page of another host connects to the local server, as one on the Internet does to its stack.
  '--disable-features=LocalNetworkAccessChecks',
  // Without it a page behind another one stops drawing.
  '--disable-renderer-backgrounding',
];

/** A server and a browser for the tests of a file, and browser contexts that end with each test. */
export function createSuite(options: SuiteOptions = {}): Suite {
  const suite = new Suite();
  beforeAll(() => suite.start(options), 90_000);
  afterEach((context) => suite.closePages(context));
  afterAll(() => suite.stop());
  return suite;
}

export class Suite {
  server!: Server;
  browser!: Browser;
  proxy: Proxy | undefined;
  readonly #contexts: { context: BrowserContext; problems: Problems }[] = [];

  async start({ proxied = false, ...options }: SuiteOptions): Promise<void> {
    this.server = await Server.start(options);
    if (proxied) this.proxy = await Proxy.start(this.server.port);
    this.browser = await chromium.launch({
      executablePath: chromiumPath,
      args: [...CHROMIUM_ARGUMENTS, ...(this.proxy ? [redirect(this.server.port, this.proxy.port)] : [])],
    });
  }

  async stop(): Promise<void> {
    await this.browser.close();
    await this.proxy?.stop();
    await this.server.stop();
  }

  /** The API with its key. */
  get api(): Api {
    return new Api(this.server.url, { apiKey: this.server.apiKey });
  }

  async apiOf(user: string): Promise<Api> {
    return new Api(this.server.url, { token: await this.server.token(user) });
  }

  /** A browser of its own, as another person or another device has it, at a route of the page. */
  async open(route = '', { address, prepare, ...options }: OpenOptions = {}): Promise<ChatPage> {
    const context = await this.browser.newContext({ locale: 'en-US', ...options });
    context.setDefaultTimeout(ACTION_TIMEOUT);
    const problems = await watch(context, new URL(this.server.url).origin);
    this.#contexts.push({ context, problems });
    await prepare?.(context);
    return this.openTab(context, problems, route, address);
  }

  /** Another tab of the same browser. */
  async openTabOf(chat: ChatPage, route = ''): Promise<ChatPage> {
    return this.openTab(chat.page.context(), chat.problems, route);
  }

  /** Opens the page as a user of the pool. */
  async signIn(user: string, route = '', options: OpenOptions = {}): Promise<ChatPage> {
    const chat = await this.open(route, options);
    await chat.signInAs(user);
    return chat;
  }

  /** Opens the page as a caller with the API key. */
  async signInWithKey(route = '', options: OpenOptions = {}): Promise<ChatPage> {
    const chat = await this.open(route, options);
    await chat.signInWithKey();
    return chat;
  }

  private async openTab(
    context: BrowserContext,
    problems: Problems,
    route: string,
    address = this.server.pageUrl,
  ): Promise<ChatPage> {
    const page = await context.newPage();
    await page.goto(address + route);
    return new ChatPage(page, problems);
  }

  /** Keeps what the pages of a failed test show, closes them, and fails where one had a problem. */
  async closePages({ task }: TestContext): Promise<void> {
    const opened = this.#contexts.splice(0);
    const pages = opened.flatMap(({ context }) => context.pages());
    if (task.result?.state === 'fail') {
      mkdirSync(failuresFolder, { recursive: true });
      const name = task.name.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 80);
      for (const [index, page] of pages.entries()) {
        const file = join(failuresFolder, `${name}-${index + 1}`);
        await page.screenshot({ path: `${file}.png`, timeout: ACTION_TIMEOUT }).catch(() => undefined);
        const tree = page.locator('body').ariaSnapshot({ timeout: ACTION_TIMEOUT });
        writeFileSync(`${file}.yml`, `${page.url()}\n${await tree.catch(String)}\n`);
      }
    }
    await Promise.all(opened.map(({ context }) => context.close()));
    expect(opened.flatMap(({ problems }) => problems.found)).toEqual([]);
  }
}

/** Chromium's option that leads connections to a port of localhost to another one. The URLs stay the same. */
function redirect(port: number, to: number): string {
  return `--host-resolver-rules=MAP localhost:${port} 127.0.0.1:${to}`;
}
