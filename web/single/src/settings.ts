/** What the page is connected to, and what the browser keeps of it. */
import { readStored, writeStored } from '../../chat/src/lib/stored.js';
import { channelsOf, isApiKey } from './entry/channel.js';

export type EntryPoint = 'GRAPHQL' | 'EVENTS' | 'WEBSOCKET';

export interface Settings {
  readonly entryPoint: EntryPoint;
  readonly url: string;
  /** An API key; for Events and WebSocket also a token. */
  readonly credential: string;
  /** Names the channels of a caller with the API key. */
  readonly secret: string;
}

export interface EntryPointWords {
  readonly name: string;
  /** The output of the stack. */
  readonly output: string;
  readonly placeholder: string;
  readonly schemes: readonly string[];
}

export const ENTRY_POINTS: Readonly<Record<EntryPoint, EntryPointWords>> = {
  GRAPHQL: {
    name: 'GraphQL',
    output: 'GraphQLUrl',
    placeholder: 'https://….appsync-api.us-east-1.amazonaws.com/graphql',
    schemes: ['http:', 'https:'],
  },
  EVENTS: {
    name: 'AppSync Events',
    output: 'EventsUrl',
    placeholder: 'https://….appsync-api.us-east-1.amazonaws.com/event',
    schemes: ['http:', 'https:'],
  },
  WEBSOCKET: {
    name: 'WebSocket API',
    output: 'WebSocketUrl',
    placeholder: 'wss://….execute-api.us-east-1.amazonaws.com/prod',
    schemes: ['ws:', 'wss:'],
  },
};

/** Why nothing can be connected with these, as a sentence. */
export function problemOf({ entryPoint, url, credential, secret }: Settings): string | undefined {
  const { name, schemes } = ENTRY_POINTS[entryPoint];
  if (!URL.canParse(url) || !schemes.includes(new URL(url).protocol)) {
    return `The URL of ${name} begins with ${schemes.toReversed().join('// or ')}//.`;
  }
  // The credential becomes a subprotocol, which has no other characters.
  if (!/^[\w.-]+$/.test(credential)) {
    return 'A key or a token has letters, digits, dots, hyphens and underscores.';
  }
  if (entryPoint === 'GRAPHQL' && !isApiKey(credential)) return 'An API key begins with da2-.';
  if (entryPoint !== 'EVENTS') return undefined;
  try {
    channelsOf(credential, secret);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const KEY = 'parlance.single';

export function rememberedSettings(): Settings | undefined {
  const stored = readStored(KEY);
  return isSettings(stored) ? stored : undefined;
}

/** Forgets them with undefined. */
export function rememberSettings(settings: Settings | undefined): void {
  writeStored(KEY, settings);
}

function isSettings(value: unknown): value is Settings {
  if (typeof value !== 'object' || value === null) return false;
  const { entryPoint, url, credential, secret } = value as Partial<Record<keyof Settings, unknown>>;
  const areTexts = [url, credential, secret].every((text) => typeof text === 'string');
  return areTexts && typeof entryPoint === 'string' && entryPoint in ENTRY_POINTS;
}
