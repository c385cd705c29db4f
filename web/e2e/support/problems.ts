import type { BrowserContext, Page } from 'playwright-core';

/** What no page may do. Collected for each page; a test fails at its end where there is one. */
export class Problems {
  readonly #found: string[] = [];
  readonly #expected: RegExp[] = [];

  /** Allows what a test brings about itself, such as requests that fail while the browser is offline. */
  expect(pattern: RegExp): void {
    this.#expected.push(pattern);
  }

  add(problem: string): void {
    this.#found.push(problem);
  }

  get found(): readonly string[] {
    return this.#found.filter((problem) => !this.#expected.some((pattern) => pattern.test(problem)));
  }
}

/** Collects errors, dialogs, violations of the Content-Security-Policy and requests to other hosts. */
export async function watch(context: BrowserContext, origin: string): Promise<Problems> {
  const problems = new Problems();
  await context.exposeFunction('reportViolation', (violation: string) => {
    problems.add(`Content-Security-Policy: ${violation}`);
  });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const report = (window as unknown as { reportViolation: (violation: string) => void }).reportViolation;
      report(`${event.violatedDirective} stops ${event.blockedURI} ${event.sample}`);
    });
  });
  context.on('page', (page) => {
    watchPage(page, problems);
  });
  await context.route(
    (url) => url.origin !== origin && url.protocol.startsWith('http'),
    async (route) => {
      problems.add(`request to ${route.request().url()}`);
      await route.abort();
    },
  );
  return problems;
}

function watchPage(page: Page, problems: Problems): void {
  page.on('console', (message) => {
    if (message.type() === 'error') problems.add(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => {
    problems.add(`exception: ${error.stack ?? error.message}`);
  });
  page.on('dialog', (dialog) => {
    problems.add(`dialog: ${dialog.message()}`);
    // The page may be closed already.
    dialog.dismiss().catch(() => undefined);
  });
  page.on('crash', () => {
    problems.add('the page has crashed');
  });
}
