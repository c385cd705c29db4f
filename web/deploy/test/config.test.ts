import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../chat/src/signIn/config.js';
import { pageConfig, type PageConfig } from '../src/config.js';
import { parseOptions } from '../src/options.js';
import { connectSources, discoveryUrl, withConnectSources } from '../src/security.js';
import { readStack, type Outputs } from '../src/stack.js';

const OUTPUTS: Outputs = {
  ChatPageUrl: 'https://d111.cloudfront.net/',
  ChatPageBucket: 'bucket',
  ChatPageDistributionId: 'E123',
  GraphQLUrl: 'https://abc.appsync-api.us-east-1.amazonaws.com/graphql',
  RealtimeUrl: 'wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/graphql',
  Region: 'us-east-1',
};
const POOL = 'https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Abc';
const OIDC = 'https://id.example.com/tenant';

function configOf(outputs: Outputs, ...words: string[]): PageConfig {
  const options = parseOptions(['--stack', 'parlance', ...words]);
  if (!options) throw new Error('no options');
  return pageConfig(readStack('parlance', { ...OUTPUTS, ...outputs }), options);
}

describe('sign-in', () => {
  test('a user pool of the stack needs no option', () => {
    const { signIn } = configOf({ UserPoolIssuer: POOL, UserPoolClientId: 'own' });
    expect(signIn).toEqual([{ mode: 'USER_POOL', issuer: POOL, clientId: 'own', scope: 'openid profile' }]);
  });

  test('the client of another pool and of a provider are given', () => {
    const words = [
      '--user-pool-client-id',
      'web',
      '--oidc-client-id',
      'spa',
      '--oidc-scope',
      'openid offline_access',
    ];
    expect(configOf({ UserPoolIssuer: POOL, OidcIssuer: OIDC, ApiKey: 'da2-key' }, ...words).signIn).toEqual([
      { mode: 'USER_POOL', issuer: POOL, clientId: 'web', scope: 'openid' },
      { mode: 'OIDC', issuer: OIDC, clientId: 'spa', scope: 'openid offline_access' },
      { mode: 'API_KEY' },
    ]);
  });

  test('the page understands the configuration', () => {
    const outputs = { UserPoolIssuer: POOL, UserPoolClientId: 'own', OidcIssuer: OIDC, ApiKey: 'da2-key' };
    const { region, ...config } = configOf(outputs, '--oidc-client-id', 'spa');
    expect(parseConfig({ region, ...config })).toEqual(config);
  });

  test('the API key is not in the configuration', () => {
    expect(JSON.stringify(configOf({ ApiKey: 'da2-key' }))).not.toContain('da2-key');
  });

  test('a sign-in is left out only if it is said so', () => {
    expect(() => configOf({ OidcIssuer: OIDC, ApiKey: 'k' })).toThrow(
      `The stack accepts tokens of ${OIDC}: give the page's client there with --oidc-client-id ID, ` +
        'or leave this sign-in out with --oidc-client-id none.',
    );
    expect(configOf({ OidcIssuer: OIDC, ApiKey: 'k' }, '--oidc-client-id', 'none').signIn).toEqual([
      { mode: 'API_KEY' },
    ]);
    expect(() => configOf({ UserPoolIssuer: POOL }, '--user-pool-client-id', 'none')).toThrow(
      'Nobody could sign in',
    );
  });

  test('an option without a use is refused', () => {
    const own = { UserPoolIssuer: POOL, UserPoolClientId: 'own' };
    expect(() => configOf(own, '--user-pool-client-id', 'web')).toThrow(
      '--user-pool-client-id has no use: the stack has a user pool of its own, whose client is known.',
    );
    expect(() => configOf({ ApiKey: 'k' }, '--user-pool-client-id', 'web')).toThrow(
      'no tokens of a user pool',
    );
    expect(() => configOf({ ApiKey: 'k' }, '--oidc-client-id', 'web')).toThrow(
      'no tokens of an OpenID Connect',
    );
  });
});

describe('stack', () => {
  test('a stack of an older template is named', () => {
    expect(() => readStack('parlance', { ChatPageUrl: 'https://d111.cloudfront.net/' })).toThrow(
      'The stack parlance has no output ChatPageBucket. Deploy this version of template.yaml.',
    );
  });
});

describe('policy', () => {
  test('names the URLs of the API and the origins of the issuers alone', () => {
    const config = configOf(
      { UserPoolIssuer: POOL, UserPoolClientId: 'own', OidcIssuer: OIDC },
      '--oidc-client-id',
      'a',
    );
    const discoveries = [
      { token_endpoint: 'https://parlance-1.auth.us-east-1.amazoncognito.com/oauth2/token' },
      { token_endpoint: 'https://id.example.com/tenant/token' },
    ];
    expect(connectSources(config, discoveries)).toEqual([
      "'self'",
      'https://abc.appsync-api.us-east-1.amazonaws.com/graphql',
      'wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/graphql',
      'https://cognito-idp.us-east-1.amazonaws.com',
      'https://parlance-1.auth.us-east-1.amazoncognito.com',
      'https://id.example.com',
    ]);
  });

  test('an issuer without a token endpoint is named', () => {
    const config = configOf({ UserPoolIssuer: POOL, UserPoolClientId: 'own' });
    for (const discovery of [{}, { token_endpoint: 1 }, { token_endpoint: 'token' }]) {
      expect(() => connectSources(config, [discovery])).toThrow(`The discovery document of ${POOL} names no`);
    }
  });

  test('a URL cannot add a directive', () => {
    const config = {
      ...configOf({ ApiKey: 'k' }),
      graphqlUrl: "https://a.example/graphql;script-src'unsafe-inline'",
    };
    expect(() => connectSources(config, [])).toThrow('cannot be in a Content-Security-Policy');
  });

  test('is the first element of the head', () => {
    const html =
      '<!doctype html>\n<html lang="en">\n<HEAD data-a="b">\n<script src="a.js"></script></HEAD></html>';
    expect(withConnectSources(html, ["'self'", 'https://a.example/x&y'])).toBe(
      html.replace(
        'data-a="b">',
        `data-a="b"><meta http-equiv="Content-Security-Policy" content="connect-src 'self' https://a.example/x&amp;y">`,
      ),
    );
    expect(() => withConnectSources('<header></header>', [])).toThrow('has no <head>');
  });
});

test('the discovery document is below the issuer, with or without a slash at its end', () => {
  for (const issuer of [OIDC, `${OIDC}/`]) {
    expect(discoveryUrl(issuer)).toBe('https://id.example.com/tenant/.well-known/openid-configuration');
  }
});

test('unknown options are refused with a sentence', () => {
  expect(() => parseOptions(['--stack', 'a', '--force'])).toThrow("Unknown option '--force'. See --help.");
  expect(() => parseOptions(['--stack'])).toThrow("Option '--stack <value>' argument missing. See --help.");
  expect(parseOptions(['--help'])).toBeUndefined();
});
