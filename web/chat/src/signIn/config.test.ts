import { describe, expect, test } from 'vitest';

import { parseConfig } from './config.js';

const GRAPHQL_URL = 'https://abc.appsync-api.us-east-1.amazonaws.com/graphql';

describe('config.json', () => {
  test('is taken with every way to sign in', () => {
    const config = {
      graphqlUrl: GRAPHQL_URL,
      realtimeUrl: 'wss://abc.appsync-realtime-api.us-east-1.amazonaws.com/graphql',
      signIn: [
        { mode: 'API_KEY' },
        { mode: 'API_KEY', apiKey: 'da2-abc' },
        {
          mode: 'USER_POOL',
          issuer: 'https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A',
          clientId: 'c',
        },
        { mode: 'OIDC', issuer: 'https://issuer.example.com', clientId: 'c', scope: 'openid offline_access' },
      ],
    };
    expect(parseConfig({ ...config, region: 'us-east-1' })).toEqual(config);
  });

  test.each([
    [undefined, 'config.json must be a JSON object.'],
    [[], 'config.json must be a JSON object.'],
    [{ signIn: [{ mode: 'API_KEY' }] }, 'graphqlUrl in config.json must be a text.'],
    [{ graphqlUrl: 'javascript:alert(1)', signIn: [] }, 'graphqlUrl in config.json must be a URL.'],
    [{ graphqlUrl: GRAPHQL_URL }, 'signIn of config.json must be a list with a way to sign in.'],
    [{ graphqlUrl: GRAPHQL_URL, signIn: [] }, 'signIn of config.json must be a list with a way to sign in.'],
    [
      { graphqlUrl: GRAPHQL_URL, signIn: ['API_KEY'] },
      'Each item of signIn of config.json must be an object.',
    ],
    [
      { graphqlUrl: GRAPHQL_URL, signIn: [{ mode: 'IAM' }] },
      'mode in config.json must be API_KEY, USER_POOL or OIDC.',
    ],
    [{ graphqlUrl: GRAPHQL_URL, signIn: [{ mode: 'OIDC' }] }, 'issuer in config.json must be a text.'],
  ])('%j is refused', (config, sentence) => {
    expect(() => parseConfig(config)).toThrow(sentence);
  });
});
