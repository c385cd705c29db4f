/** A session: a client of the API with the credentials of the person who has signed in. */
import { createClient, ParlanceError, type Client, type Credentials } from 'parlance-client';

import type { PageConfig } from './config.js';
import { refreshTokens, signOutUrl, type Tokens } from './oidc.js';
import { readSession, removeSession, writeSession, type StoredSession } from './storage.js';

export interface Session {
  readonly client: Client;
  readonly mode: StoredSession['mode'];
  /** Ends the session in every tab and, where the issuer has a page for it, at the issuer. */
  signOut(): Promise<void>;
}

/** A token is renewed when it is valid for less than this, in milliseconds. */
const RENEWAL_MARGIN = 60_000;

/** `onEnd` is called when the issuer gives no new token: the person has to sign in again. */
export function createSession(config: PageConfig, stored: StoredSession, onEnd: () => void): Session {
  const { graphqlUrl, realtimeUrl } = config;
  const client = createClient({
    url: graphqlUrl,
    ...(realtimeUrl !== undefined && { realtimeUrl }),
    credentials: credentialsOf(config, stored, onEnd),
  });
  return {
    client,
    mode: stored.mode,
    async signOut() {
      // The newest tokens: another tab may have renewed them.
      const last = readSession(graphqlUrl) ?? stored;
      client.close();
      removeSession();
      const url =
        last.mode === 'API_KEY'
          ? undefined
          : await signOutUrl(last.method, last.tokens, pageUrl()).catch(() => undefined);
      if (url === undefined) onEnd();
      else location.assign(url);
    },
  };
}

/** The page's address as issuers know it: without a query and what follows `#`. */
export function pageUrl(): string {
  return location.origin + location.pathname;
}

export function isExpiring(tokens: Tokens, now: number): boolean {
  return now > tokens.expiresAt - RENEWAL_MARGIN;
}

function credentialsOf(config: PageConfig, stored: StoredSession, onEnd: () => void): Credentials {
  if (stored.mode === 'API_KEY') return stored;
  return { mode: stored.mode, token: () => currentToken(config.graphqlUrl, stored, onEnd) };
}

type IssuerSession = Exclude<StoredSession, { mode: 'API_KEY' }>;

async function currentToken(graphqlUrl: string, first: IssuerSession, onEnd: () => void): Promise<string> {
  const session = storedOr(graphqlUrl, first);
  if (!isExpiring(session.tokens, Date.now())) return tokenToSend(session);
  // One tab at a time: an issuer may accept a refresh token only once.
  return withLock(async () => {
    const newest = storedOr(graphqlUrl, first);
    if (!isExpiring(newest.tokens, Date.now())) return tokenToSend(newest);
    const tokens = await refreshTokens(newest.method, newest.tokens, Date.now());
    if (tokens === undefined) {
      removeSession();
      onEnd();
      throw new ParlanceError('UNAUTHORIZED', 'The session has ended: sign in again.');
    }
    const renewed = { ...newest, tokens };
    writeSession(graphqlUrl, renewed);
    return tokenToSend(renewed);
  });
}

function storedOr(graphqlUrl: string, first: IssuerSession): IssuerSession {
  const stored = readSession(graphqlUrl);
  return stored?.mode === first.mode ? stored : first;
}

/** AppSync takes a user pool's access token. Of another issuer it checks the audience, which an ID token has. */
function tokenToSend({ mode, tokens }: IssuerSession): string {
  return mode === 'USER_POOL' ? tokens.accessToken : tokens.idToken;
}

/** A page that was opened from a file or over HTTP from another host has no locks. */
async function withLock<Value>(action: () => Promise<Value>): Promise<Value> {
  // `locks` is missing outside secure contexts, which its type does not say.
  const locks = navigator.locks as LockManager | undefined;
  return locks ? await locks.request('parlance.tokens', action) : await action();
}
