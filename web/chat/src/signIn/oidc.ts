/** Sign-in by OpenID Connect's authorization code flow with PKCE. */
import * as oauth from 'oauth4webapi';

import type { IssuerMethod } from './config.js';

/** What an issuer has given. */
export interface Tokens {
  readonly idToken: string;
  readonly accessToken: string;
  readonly refreshToken?: string;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What must be known again when the issuer sends the browser back to the page. */
export interface PendingSignIn {
  readonly method: IssuerMethod;
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  /** The address to return to: the part of the page's URL after `#`. */
  readonly route: string;
}

/** Sign-in failed: the message is a sentence for people. */
export class SignInError extends Error {}

/** How long one request to the issuer may take, in milliseconds. */
const REQUEST_TIMEOUT = 15_000;

/** Where to send the browser, and what to keep until it comes back. */
export async function beginSignIn(
  method: IssuerMethod,
  redirectUri: string,
  route: string,
): Promise<{ url: string; pending: PendingSignIn }> {
  const server = await discover(method);
  if (!server.authorization_endpoint) {
    throw new SignInError(`${method.issuer} has no page to sign in at.`);
  }
  const pending: PendingSignIn = {
    method,
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    codeVerifier: oauth.generateRandomCodeVerifier(),
    route,
  };
  const url = new URL(server.authorization_endpoint);
  const parameters = {
    response_type: 'code',
    client_id: method.clientId,
    redirect_uri: redirectUri,
    scope: method.scope ?? 'openid',
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.codeVerifier),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return { url: url.href, pending };
}

/** Whether the issuer has sent the browser back to this address, with a code or an error. */
export function isAnswerOfIssuer(page: URL): boolean {
  const has = (name: string): boolean => page.searchParams.has(name);
  return has('state') && (has('code') || has('error'));
}

/** The tokens for the code in the page's address. */
export async function finishSignIn(
  pending: PendingSignIn,
  page: URL,
  redirectUri: string,
  now: number,
): Promise<Tokens> {
  const { method, state, nonce, codeVerifier } = pending;
  return withSentence(async () => {
    const server = await discover(method);
    const client = { client_id: method.clientId };
    const parameters = oauth.validateAuthResponse(server, client, page, state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      oauth.None(),
      parameters,
      redirectUri,
      codeVerifier,
      requestOptions(method),
    );
    const answer = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    return tokensOf(answer, now);
  });
}

/** New tokens. Resolves with undefined where the issuer wants the person to sign in again. */
export async function refreshTokens(
  method: IssuerMethod,
  tokens: Tokens,
  now: number,
): Promise<Tokens | undefined> {
  const { refreshToken } = tokens;
  if (refreshToken === undefined) return undefined;
  const server = await discover(method);
  const client = { client_id: method.clientId };
  const response = await oauth.refreshTokenGrantRequest(
    server,
    client,
    oauth.None(),
    refreshToken,
    requestOptions(method),
  );
  try {
    const answer = await oauth.processRefreshTokenResponse(server, client, response);
    // OpenID Connect lets an issuer leave out the ID token, which is what the API gets of such an issuer.
    if (method.mode === 'OIDC' && answer.id_token === undefined) return undefined;
    return tokensOf({ refresh_token: refreshToken, id_token: tokens.idToken, ...answer }, now);
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) return undefined;
    throw error;
  }
}

/** Where to send the browser to end the session at the issuer too, if the issuer has such a page. */
export async function signOutUrl(
  method: IssuerMethod,
  tokens: Tokens,
  redirectUri: string,
): Promise<string | undefined> {
  const { end_session_endpoint: endpoint } = await discover(method);
  if (!endpoint) return undefined;
  const url = new URL(endpoint);
  // Cognito has names of its own, and ignores those of OpenID Connect.
  const parameters =
    method.mode === 'USER_POOL'
      ? { client_id: method.clientId, logout_uri: redirectUri }
      : {
          client_id: method.clientId,
          id_token_hint: tokens.idToken,
          post_logout_redirect_uri: redirectUri,
        };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

async function discover(method: IssuerMethod): Promise<oauth.AuthorizationServer> {
  return withSentence(async () => {
    const issuer = new URL(method.issuer);
    const response = await oauth.discoveryRequest(issuer, requestOptions(method));
    return oauth.processDiscoveryResponse(issuer, response);
  });
}

/** A local issuer has no TLS. The library marks the option as deprecated to make it stand out. */
function requestOptions(method: IssuerMethod) {
  const isLocal = ['localhost', '127.0.0.1'].includes(new URL(method.issuer).hostname);
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  return { [oauth.allowInsecureRequests]: isLocal, signal: () => AbortSignal.timeout(REQUEST_TIMEOUT) };
}

function tokensOf(answer: Partial<oauth.TokenEndpointResponse>, now: number): Tokens {
  const { id_token: idToken, access_token: accessToken, refresh_token: refreshToken, expires_in } = answer;
  if (idToken === undefined || accessToken === undefined) {
    throw new SignInError('The issuer has sent no token.');
  }
  // An issuer that does not say how long its tokens are valid is asked again soon.
  const seconds = expires_in ?? 300;
  return {
    idToken,
    accessToken,
    ...(refreshToken !== undefined && { refreshToken }),
    expiresAt: now + seconds * 1000,
  };
}

async function withSentence<Value>(action: () => Promise<Value>): Promise<Value> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof SignInError) throw error;
    if (error instanceof oauth.AuthorizationResponseError || error instanceof oauth.ResponseBodyError) {
      throw new SignInError(`Sign-in was refused: ${error.error_description ?? error.error}.`, {
        cause: error,
      });
    }
    throw new SignInError('Sign-in failed: the issuer cannot be reached, or its answer is not valid.', {
      cause: error,
    });
  }
}
