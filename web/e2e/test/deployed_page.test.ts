/** The page as CloudFront serves what `npm run deploy` uploads, with the local server as its stack. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BrowserContext } from 'playwright-core';
import { expect, test } from 'vitest';
import { pageConfig } from '../../deploy/src/config.js';
import { readPage } from '../../deploy/src/page_folder.js';
import { INDEX_KEY, planUploads, type Upload } from '../../deploy/src/plan.js';
import { connectSources, withConnectSources } from '../../deploy/src/security.js';
import { readStack } from '../../deploy/src/stack.js';
import type { ChatPage } from '../support/chat_page.js';
import { pageFolder, root } from '../support/environment.js';
import { createSuite } from '../support/suite.js';

const suite = createSuite();

const PAGE_URL = 'https://d111111abcdef8.cloudfront.net/';

/** The local server's URLs with TLS, as all of a stack are. */
function secureUrls(): { graphqlUrl: string; realtimeUrl: string } {
  const { url, realtimeUrl } = suite.server.endpoint;
  return { graphqlUrl: url.replace(/^http:/, 'https:'), realtimeUrl: realtimeUrl.replace(/^ws:/, 'wss:') };
}

/** What the script uploads for a stack whose API is the local server's. */
function uploads(): Upload[] {
  const { graphqlUrl, realtimeUrl } = secureUrls();
  const stack = readStack('parlance', {
    ChatPageUrl: PAGE_URL,
    ChatPageBucket: 'bucket',
    ChatPageDistributionId: 'E123',
    GraphQLUrl: graphqlUrl,
    RealtimeUrl: realtimeUrl,
    Region: 'us-east-1',
    ApiKey: suite.server.apiKey,
  });
  const config = pageConfig(stack, {
    userPoolClientId: undefined,
    oidcClientId: undefined,
    oidcScope: 'openid',
  });
  const files = readPage(pageFolder).map((file) => {
    if (file.key !== INDEX_KEY) return file;
    return {
      ...file,
      content: Buffer.from(withConnectSources(file.content.toString(), connectSources(config, []))),
    };
  });
  return planUploads({ files, config, stored: [], builds: undefined }).steps.flat();
}

/** The policy that CloudFront adds to each response. */
function policyOfTemplate(): string {
  const template = readFileSync(resolve(root, 'web/template.yaml'), 'utf8');
  const list = /ContentSecurityPolicy: !Join\n +- "; "\n((?: +(?:- )+.+\n)+)/.exec(template)?.[1] ?? '';
  const directives = Array.from(list.matchAll(/(?:- )+"?([^"\n]+)"?\n/g), ([, directive]) => directive);
  expect(directives).toContain("script-src 'self'");
  return directives.join('; ');
}

async function serve(context: BrowserContext): Promise<void> {
  const objects = new Map(uploads().map((upload) => [upload.key, upload]));
  const policy = policyOfTemplate();
  await context.route(`${new URL(secureUrls().graphqlUrl).origin}/**`, (route) => route.continue());
  await context.route(`${PAGE_URL}**`, async (route) => {
    const key = new URL(route.request().url()).pathname.slice(1) || INDEX_KEY;
    const object = objects.get(key);
    if (!object) return route.fulfill({ status: 403, body: 'AccessDenied' });
    const { contentType, cacheControl, content } = object;
    const headers = {
      'content-type': contentType,
      'cache-control': cacheControl,
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
    };
    return route.fulfill({ status: 200, headers, body: content });
  });
}

function open(): Promise<ChatPage> {
  const key = suite.server.apiKey;
  // The local server has signed its certificate itself.
  return suite.open(`#key=${key}`, { address: PAGE_URL, prepare: serve, ignoreHTTPSErrors: true });
}

test('A person signs in with the key of the link and gets an answer', async () => {
  const chat = await open();
  await chat.composer.waitFor();
  expect(await chat.ask('What is AWS Lambda?')).toContain("I am Parlance's scripted model");
  expect(chat.page.url()).not.toContain(suite.server.apiKey);
});

test('The page connects to nothing but its stack', async () => {
  const chat = await open();
  chat.problems.expect(/connect-src|Content Security Policy|Refused to connect/);
  // Of the request without the key, which reaches the API.
  chat.problems.expect(/status of 401/);
  await chat.composer.waitFor();
  /** `reached`, or the directive that has stopped the request. */
  const outcome = (url: string): Promise<string> =>
    chat.page.evaluate(
      (address) =>
        new Promise((done) => {
          document.addEventListener(
            'securitypolicyviolation',
            (event) => {
              done(event.effectiveDirective);
            },
            { once: true },
          );
          // A request that is stopped fails after its violation was reported.
          fetch(address, { mode: 'no-cors' }).then(
            () => {
              done('reached');
            },
            () => undefined,
          );
        }),
      url,
    );
  expect(await outcome(secureUrls().graphqlUrl)).toBe('reached');
  expect(await outcome(new URL('/config.json', secureUrls().graphqlUrl).href)).toBe('connect-src');
  expect(await outcome('https://abc.appsync-api.us-east-1.amazonaws.com/graphql')).toBe('connect-src');
});
