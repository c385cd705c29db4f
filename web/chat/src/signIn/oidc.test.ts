import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { IssuerMethod } from './config.js';
import {
  beginSignIn,
  finishSignIn,
  isAnswerOfIssuer,
  refreshTokens,
  signOutUrl,
  type Tokens,
} from './oidc.js';

const PAGE = 'https://chat.example.com/';
const NOW = 1_800_000_000_000;

/** An issuer whose token endpoint answers as a test says. */
let issuer: { url: string; answer: (form: URLSearchParams) => [number, object]; forms: URLSearchParams[] };
let close: () => void;

beforeEach(async () => {
  const forms: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    void respond(request).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  issuer = { url, forms, answer: () => [500, {}] };
  close = () => server.close();

  async function respond(request: IncomingMessage): Promise<[number, object]> {
    if (request.url === '/.well-known/openid-configuration') return [200, discoveryDocument(url)];
    let body = '';
    for await (const chunk of request) body += String(chunk);
    forms.push(new URLSearchParams(body));
    return issuer.answer(new URLSearchParams(body));
  }
});

afterEach(() => {
  close();
});

function discoveryDocument(url: string) {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    end_session_endpoint: `${url}/logout`,
    jwks_uri: `${url}/jwks`,
  };
}

function method(mode: IssuerMethod['mode'] = 'OIDC'): IssuerMethod {
  return { mode, issuer: issuer.url, clientId: 'page' };
}

/** Its signature is not checked: it came from the issuer itself. */
function idToken(claims: object): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: issuer.url, aud: 'page', sub: 'ada', iat: now, exp: now + 3600, ...claims };
  return `${encode({ alg: 'RS256' })}.${encode(all)}.c2lnbmF0dXJl`;
}

function answerOf(url: string): URL {
  const { state } = Object.fromEntries(new URL(url).searchParams);
  return new URL(`${PAGE}?code=c1&state=${state ?? ''}`);
}

describe('sign-in at an issuer', () => {
  test('sends the browser to the issuer with a challenge, and takes tokens for the code', async () => {
    const { url, pending } = await beginSignIn(method(), PAGE, '/c/1');
    const query = new URL(url).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({
      response_type: 'code',
      client_id: 'page',
      redirect_uri: PAGE,
      scope: 'openid',
      code_challenge_method: 'S256',
      nonce: pending.nonce,
    });
    const token = idToken({ nonce: pending.nonce });
    issuer.answer = () => [
      200,
      { id_token: token, access_token: 'a1', refresh_token: 'r1', token_type: 'Bearer', expires_in: 600 },
    ];
    const tokens = await finishSignIn(pending, answerOf(url), PAGE, NOW);
    expect(tokens).toEqual({
      idToken: token,
      accessToken: 'a1',
      refreshToken: 'r1',
      expiresAt: NOW + 600_000,
    });
    expect(Object.fromEntries(issuer.forms[0] ?? [])).toMatchObject({
      grant_type: 'authorization_code',
      code: 'c1',
      redirect_uri: PAGE,
      code_verifier: pending.codeVerifier,
    });
  });

  test('refuses an answer to another sign-in, before a code is sent', async () => {
    const { pending } = await beginSignIn(method(), PAGE, '/');
    const other = new URL(`${PAGE}?code=c1&state=other`);
    await expect(finishSignIn(pending, other, PAGE, NOW)).rejects.toThrow('its answer is not valid');
    expect(issuer.forms).toEqual([]);
  });

  test('refuses an ID token of another sign-in', async () => {
    const { url, pending } = await beginSignIn(method(), PAGE, '/');
    issuer.answer = () => [
      200,
      { id_token: idToken({ nonce: 'other' }), access_token: 'a1', token_type: 'Bearer' },
    ];
    await expect(finishSignIn(pending, answerOf(url), PAGE, NOW)).rejects.toThrow('its answer is not valid');
  });

  test('says why the issuer refuses', async () => {
    const { pending } = await beginSignIn(method(), PAGE, '/');
    const page = new URL(`${PAGE}?error=access_denied&error_description=No+such+user&state=${pending.state}`);
    expect(isAnswerOfIssuer(page)).toBe(true);
    await expect(finishSignIn(pending, page, PAGE, NOW)).rejects.toThrow(
      'Sign-in was refused: No such user.',
    );
  });

  test('says that an issuer cannot be reached', async () => {
    close();
    const unreachable = { ...method(), issuer: 'http://127.0.0.1:1' };
    await expect(beginSignIn(unreachable, PAGE, '/')).rejects.toThrow('the issuer cannot be reached');
  });
});

describe('renewal', () => {
  const tokens = (): Tokens => ({
    idToken: idToken({}),
    accessToken: 'a1',
    refreshToken: 'r1',
    expiresAt: NOW,
  });

  test('keeps the refresh token and the ID token where a user pool gives none', async () => {
    issuer.answer = () => [200, { access_token: 'a2', token_type: 'Bearer', expires_in: 60 }];
    const before = tokens();
    const renewed = await refreshTokens(method('USER_POOL'), before, NOW);
    expect(renewed).toEqual({ ...before, accessToken: 'a2', expiresAt: NOW + 60_000 });
  });

  test('is over where another issuer gives no ID token, which the API needs', async () => {
    issuer.answer = () => [200, { access_token: 'a2', token_type: 'Bearer', expires_in: 60 }];
    expect(await refreshTokens(method('OIDC'), tokens(), NOW)).toBeUndefined();
  });

  test('is over where the issuer refuses the refresh token', async () => {
    issuer.answer = () => [400, { error: 'invalid_grant' }];
    expect(await refreshTokens(method(), tokens(), NOW)).toBeUndefined();
  });

  test('is over without a refresh token', async () => {
    const { idToken, accessToken, expiresAt } = tokens();
    expect(await refreshTokens(method(), { idToken, accessToken, expiresAt }, NOW)).toBeUndefined();
  });

  test('fails where the issuer fails, so that it can be tried again', async () => {
    issuer.answer = () => [503, {}];
    await expect(refreshTokens(method(), tokens(), NOW)).rejects.toThrow();
  });
});

test('sign-out has the names of Cognito for a user pool', async () => {
  const tokens: Tokens = { idToken: 'id', accessToken: 'a', expiresAt: NOW };
  const ofPool = new URL((await signOutUrl(method('USER_POOL'), tokens, PAGE)) ?? '');
  expect(Object.fromEntries(ofPool.searchParams)).toEqual({ client_id: 'page', logout_uri: PAGE });
  const ofProvider = new URL((await signOutUrl(method(), tokens, PAGE)) ?? '');
  expect(Object.fromEntries(ofProvider.searchParams)).toEqual({
    client_id: 'page',
    id_token_hint: 'id',
    post_logout_redirect_uri: PAGE,
  });
});
