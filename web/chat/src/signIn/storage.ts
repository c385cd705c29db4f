/** What the browser keeps of a sign-in. It is shared by the tabs of the page. */
import type { IssuerMethod } from './config.js';
import type { PendingSignIn, Tokens } from './oidc.js';

/** Who is signed in. */
export type StoredSession =
  | { readonly mode: 'API_KEY'; readonly apiKey: string }
  | { readonly mode: 'USER_POOL' | 'OIDC'; readonly method: IssuerMethod; readonly tokens: Tokens };

const SESSION = 'parlance.session';
const PENDING = 'parlance.signIn';

/**
 * The session of this API. It is for the API's URL alone, because a page may be given another configuration.
 * A browser that keeps nothing has no session after a reload.
 */
export function readSession(graphqlUrl: string): StoredSession | undefined {
  const stored = read(localStorage, SESSION) as { graphqlUrl: string; session: StoredSession } | undefined;
  return stored?.graphqlUrl === graphqlUrl ? stored.session : undefined;
}

export function writeSession(graphqlUrl: string, session: StoredSession): void {
  write(localStorage, SESSION, { graphqlUrl, session });
}

export function removeSession(): void {
  localStorage.removeItem(SESSION);
}

/** Calls the listener when another tab signs in or out. Returns a function that ends this. */
export function onSessionOfOtherTab(listener: () => void): () => void {
  const onStorage = ({ key }: StorageEvent): void => {
    if (key === SESSION || key === null) listener();
  };
  addEventListener('storage', onStorage);
  return () => {
    removeEventListener('storage', onStorage);
  };
}

/** The sign-in that this tab has begun. Reading it removes it: a code is used once. */
export function takePendingSignIn(): PendingSignIn | undefined {
  const pending = read(sessionStorage, PENDING) as PendingSignIn | undefined;
  sessionStorage.removeItem(PENDING);
  return pending;
}

export function writePendingSignIn(pending: PendingSignIn): void {
  write(sessionStorage, PENDING, pending);
}

function read(storage: Storage, key: string): unknown {
  try {
    const text = storage.getItem(key);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function write(storage: Storage, key: string, value: unknown): void {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // A browser that is full or keeps nothing: the person signs in again after a reload.
  }
}
