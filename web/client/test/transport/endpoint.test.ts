import { expect, test } from 'vitest';
import { endpointOf } from '../../src/transport/endpoint.js';

test.each([
  [
    'https://abcdefghijklmnopqrstuvwxyz.appsync-api.eu-west-1.amazonaws.com/graphql',
    'wss://abcdefghijklmnopqrstuvwxyz.appsync-realtime-api.eu-west-1.amazonaws.com/graphql',
  ],
  [
    'https://abcdefghijklmnopqrstuvwxyz.appsync-api.cn-north-1.amazonaws.com.cn/graphql',
    'wss://abcdefghijklmnopqrstuvwxyz.appsync-realtime-api.cn-north-1.amazonaws.com.cn/graphql',
  ],
  ['https://api.example.com/graphql', 'wss://api.example.com/graphql/realtime'],
  ['http://localhost:4000/graphql', 'ws://localhost:4000/graphql/realtime'],
  ['HTTP://localhost:4000/graphql/', 'ws://localhost:4000/graphql/realtime'],
  ['https://x.appsync-api.example.com/graphql', 'wss://x.appsync-api.example.com/graphql/realtime'],
])('%s has the realtime URL %s', (url, realtimeUrl) => {
  expect(endpointOf(url).realtimeUrl).toBe(realtimeUrl);
});

test('a realtime URL that is given is taken', () => {
  expect(endpointOf('https://api.example.com/graphql', 'wss://rt.example.com/x').realtimeUrl).toBe(
    'wss://rt.example.com/x',
  );
});

test('the host includes a port that is not the default', () => {
  expect(endpointOf('http://localhost:4000/graphql').host).toBe('localhost:4000');
  expect(endpointOf('https://api.example.com:443/graphql').host).toBe('api.example.com');
});

test('the URL that connections are signed for is below the GraphQL path', () => {
  expect(endpointOf('https://api.example.com/graphql').connectUrl).toBe(
    'https://api.example.com/graphql/connect',
  );
});

test.each(['', 'graphql', 'ftp://example.com/graphql', '/graphql'])('%j is no endpoint', (url) => {
  expect(() => endpointOf(url)).toThrow(
    new TypeError(`${url} is not a GraphQL endpoint: it must be an absolute http or https URL`),
  );
});
