import { useCallback, useEffect, useMemo, useState } from 'react';

import { loadConfig, type IssuerMethod, type PageConfig } from './config.js';
import { beginSignIn, finishSignIn, isAnswerOfIssuer } from './oidc.js';
import { createSession, pageUrl, type Session } from './session.js';
import {
  onSessionOfOtherTab,
  readSession,
  takePendingSignIn,
  writePendingSignIn,
  writeSession,
  type StoredSession,
} from './storage.js';

/** Where the page is on its way to a session. */
export type SessionState =
  | { readonly phase: 'LOADING' }
  /** config.json cannot be used. */
  | { readonly phase: 'FAILED'; readonly reason: string }
  | {
      readonly phase: 'SIGNED_OUT';
      readonly config: PageConfig;
      /** Why the last sign-in failed. */
      readonly reason?: string;
      readonly useApiKey: (apiKey: string) => void;
      /** Leaves the page, or sets `reason`. */
      readonly signInAt: (method: IssuerMethod) => Promise<void>;
    }
  | { readonly phase: 'SIGNED_IN'; readonly config: PageConfig; readonly session: Session };

type Known =
  | { phase: 'LOADING' }
  | { phase: 'FAILED'; reason: string }
  | { phase: 'READY'; config: PageConfig; stored?: StoredSession | undefined; reason?: string | undefined };

/** Where the page has its configuration from. */
export type LoadConfig = () => Promise<PageConfig>;

/** The page starts once: a code of an issuer in its address is used once, however often React runs an effect. */
const started = new WeakMap<LoadConfig, Promise<Known>>();

export function useSession(load: LoadConfig = loadConfig): SessionState {
  const [known, setKnown] = useState<Known>({ phase: 'LOADING' });

  useEffect(() => {
    let isCurrent = true;
    const starting = started.get(load) ?? start(load);
    started.set(load, starting);
    void starting.then((next) => {
      if (isCurrent) setKnown(next);
    });
    return () => {
      isCurrent = false;
    };
  }, [load]);

  const config = known.phase === 'READY' ? known.config : undefined;
  const stored = known.phase === 'READY' ? known.stored : undefined;

  useEffect(() => {
    if (!config) return undefined;
    return onSessionOfOtherTab(() => {
      const ofOtherTab = readSession(config.graphqlUrl);
      setKnown((before) => (isSameCaller(before, ofOtherTab) ? before : ready(config, ofOtherTab)));
    });
  }, [config]);

  const session = useMemo(() => {
    if (!config || !stored) return undefined;
    return createSession(config, stored, () => {
      setKnown(ready(config));
    });
  }, [config, stored]);

  useEffect(() => () => session?.client.close(), [session]);

  const useApiKey = useCallback(
    (apiKey: string) => {
      if (config) setKnown(ready(config, keep(config, { mode: 'API_KEY', apiKey })));
    },
    [config],
  );
  const signInAt = useCallback(
    async (method: IssuerMethod) => {
      const reason = await leaveFor(method);
      if (config && reason !== undefined) setKnown(ready(config, undefined, reason));
    },
    [config],
  );

  if (known.phase !== 'READY') return known;
  if (session) return { phase: 'SIGNED_IN', config: known.config, session };
  const { reason } = known;
  return {
    phase: 'SIGNED_OUT',
    config: known.config,
    ...(reason !== undefined && { reason }),
    useApiKey,
    signInAt,
  };
}

function ready(config: PageConfig, stored?: StoredSession, reason?: string): Known {
  return { phase: 'READY', config, stored, reason };
}

/** A tab that has renewed its tokens is the same caller: its client goes on. */
function isSameCaller(known: Known, other: StoredSession | undefined): boolean {
  const own = known.phase === 'READY' ? known.stored : undefined;
  if (own?.mode !== other?.mode) return false;
  return own?.mode !== 'API_KEY' || other?.mode !== 'API_KEY' || own.apiKey === other.apiKey;
}

async function start(load: LoadConfig): Promise<Known> {
  let config: PageConfig;
  try {
    config = await load();
  } catch (error) {
    return { phase: 'FAILED', reason: sentence(error) };
  }
  const page = new URL(location.href);
  const apiKey = takeApiKey(page);
  if (apiKey !== undefined) return ready(config, keep(config, { mode: 'API_KEY', apiKey }));
  if (isAnswerOfIssuer(page)) return finish(config, page);
  return ready(config, readSession(config.graphqlUrl) ?? onlyKey(config));
}

/** A local server that takes its API key alone needs no sign-in. */
function onlyKey({ signIn }: PageConfig): StoredSession | undefined {
  const [method] = signIn;
  if (signIn.length > 1 || method?.mode !== 'API_KEY' || method.apiKey === undefined) return undefined;
  return { mode: 'API_KEY', apiKey: method.apiKey };
}

/** The API key of a link such as `#key=da2-…`. It is removed from the address, which the browser's history keeps. */
function takeApiKey(page: URL): string | undefined {
  const match = /^#(?:\/?\?)?key=([\w-]{1,200})(?:&(.*))?$/.exec(page.hash);
  if (!match) return undefined;
  history.replaceState(null, '', `${page.pathname}${page.search}#${match[2] ?? '/'}`);
  return match[1];
}

async function finish(config: PageConfig, page: URL): Promise<Known> {
  const pending = takePendingSignIn();
  // A code is used once: a reload must not use it again.
  history.replaceState(null, '', `${page.pathname}#${pending?.route ?? '/'}`);
  if (!pending) return ready(config, readSession(config.graphqlUrl));
  try {
    const tokens = await finishSignIn(pending, page, pageUrl(), Date.now());
    const { method } = pending;
    return ready(config, keep(config, { mode: method.mode, method, tokens }));
  } catch (error) {
    return ready(config, undefined, sentence(error));
  }
}

async function leaveFor(method: IssuerMethod): Promise<string | undefined> {
  try {
    const { url, pending } = await beginSignIn(method, pageUrl(), location.hash.slice(1) || '/');
    writePendingSignIn(pending);
    location.assign(url);
    return undefined;
  } catch (error) {
    return sentence(error);
  }
}

function keep(config: PageConfig, session: StoredSession): StoredSession {
  writeSession(config.graphqlUrl, session);
  return session;
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
