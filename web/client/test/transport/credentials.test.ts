import { expect, test } from 'vitest';
import { ParlanceError } from '../../src/errors.js';
import {
  connectionHeader,
  httpHeaders,
  subscriptionHeader,
  type Credentials,
  type SignableRequest,
} from '../../src/transport/credentials.js';
import { endpointOf } from '../../src/transport/endpoint.js';

const endpoint = endpointOf('http://localhost:4000/graphql');

test('an API key is sent as it is', async () => {
  const credentials: Credentials = { mode: 'API_KEY', apiKey: 'da2-x' };
  expect(await httpHeaders(credentials, endpoint, '{}')).toEqual({
    'content-type': 'application/json',
    'x-api-key': 'da2-x',
  });
  const header = { host: 'localhost:4000', 'x-api-key': 'da2-x' };
  expect(await connectionHeader(credentials, endpoint)).toEqual(header);
  expect(await subscriptionHeader(credentials, endpoint, '{}')).toEqual(header);
});

test.each(['USER_POOL', 'OIDC'] as const)('a token of %s is asked for each time', async (mode) => {
  let tokens = 0;
  const credentials: Credentials = { mode, token: () => Promise.resolve(`jwt${++tokens}`) };
  expect(await httpHeaders(credentials, endpoint, '{}')).toMatchObject({ Authorization: 'jwt1' });
  expect(await connectionHeader(credentials, endpoint)).toEqual({
    host: 'localhost:4000',
    Authorization: 'jwt2',
  });
  expect(await subscriptionHeader(credentials, endpoint, '{}')).toMatchObject({ Authorization: 'jwt3' });
});

test('IAM signs each request, connection and subscription', async () => {
  const signed: SignableRequest[] = [];
  const credentials: Credentials = {
    mode: 'IAM',
    sign: (request) => {
      signed.push(request);
      return Promise.resolve({ ...request.headers, host: 'localhost:4000', authorization: 'AWS4' });
    },
  };
  expect(await httpHeaders(credentials, endpoint, '{"query":"q"}')).toEqual({
    'content-type': 'application/json',
    authorization: 'AWS4',
  });
  expect(await connectionHeader(credentials, endpoint)).toEqual({
    accept: 'application/json, text/javascript',
    authorization: 'AWS4',
    'content-encoding': 'amz-1.0',
    'content-type': 'application/json; charset=UTF-8',
    host: 'localhost:4000',
  });
  await subscriptionHeader(credentials, endpoint, '{"query":"s"}');
  expect(signed.map(({ url, body }) => [url, body])).toEqual([
    ['http://localhost:4000/graphql', '{"query":"q"}'],
    ['http://localhost:4000/graphql/connect', '{}'],
    ['http://localhost:4000/graphql', '{"query":"s"}'],
  ]);
});

test('what a provider throws is the cause of an error', async () => {
  const cause = new Error('signed out');
  const credentials: Credentials = {
    mode: 'OIDC',
    token: () => {
      throw cause;
    },
  };
  await expect(httpHeaders(credentials, endpoint, '{}')).rejects.toMatchObject({
    code: 'CREDENTIALS',
    retryable: false,
    message: 'There are no credentials for the request: signed out',
    cause,
  });
});

test('a provider that reaches nothing may be asked again', async () => {
  const cause = new TypeError('Failed to fetch');
  const credentials: Credentials = { mode: 'OIDC', token: () => Promise.reject(cause) };
  await expect(httpHeaders(credentials, endpoint, '{}')).rejects.toMatchObject({
    code: 'NETWORK',
    retryable: true,
    cause,
  });
});

test('an error that a provider chose is passed on', async () => {
  const error = new ParlanceError('NETWORK', 'The issuer could not be reached.');
  const credentials: Credentials = { mode: 'OIDC', token: () => Promise.reject(error) };
  await expect(connectionHeader(credentials, endpoint)).rejects.toBe(error);
});
