/** `config.json` beside the page: where the API is and how to sign in. The local server and the deployment write it. */

export interface PageConfig {
  readonly graphqlUrl: string;
  /** Follows from `graphqlUrl` where it is left out. */
  readonly realtimeUrl?: string;
  /** At least one, in the order in which they are offered. */
  readonly signIn: readonly SignInMethod[];
}

export type SignInMethod =
  /** `apiKey` is there on a local server alone: whoever can read config.json can read it. */
  { readonly mode: 'API_KEY'; readonly apiKey?: string } | IssuerMethod;

/** Sign-in at an OpenID Connect issuer. A user pool is one, with its managed login as the authorization endpoint. */
export interface IssuerMethod {
  readonly mode: 'USER_POOL' | 'OIDC';
  readonly issuer: string;
  readonly clientId: string;
  /** `openid` by default. */
  readonly scope?: string;
}

/** The configuration cannot be used: the message is a sentence that says why. */
export class ConfigError extends Error {}

/** Reads config.json beside the page. */
export async function loadConfig(): Promise<PageConfig> {
  const url = new URL('config.json', document.baseURI);
  const response = await fetch(url, { cache: 'no-cache', signal: AbortSignal.timeout(15_000) }).catch(() => {
    throw new ConfigError('config.json cannot be read: the server does not answer.');
  });
  if (!response.ok) {
    throw new ConfigError(`config.json cannot be read: the server answered ${response.status}.`);
  }
  return parseConfig(await response.json().catch(() => undefined));
}

export function parseConfig(json: unknown): PageConfig {
  const config = record(json, 'config.json must be a JSON object.');
  const graphqlUrl = urlOf(config['graphqlUrl'], 'graphqlUrl');
  const { realtimeUrl, signIn } = config;
  if (!Array.isArray(signIn) || signIn.length === 0) {
    throw new ConfigError('signIn of config.json must be a list with a way to sign in.');
  }
  return {
    graphqlUrl,
    ...(realtimeUrl !== undefined && { realtimeUrl: urlOf(realtimeUrl, 'realtimeUrl') }),
    signIn: signIn.map(parseMethod),
  };
}

function parseMethod(json: unknown): SignInMethod {
  const method = record(json, 'Each item of signIn of config.json must be an object.');
  const { mode, apiKey, scope } = method;
  switch (mode) {
    case 'API_KEY':
      return { mode, ...(apiKey !== undefined && { apiKey: text(apiKey, 'apiKey') }) };
    case 'USER_POOL':
    case 'OIDC':
      return {
        mode,
        issuer: urlOf(method['issuer'], 'issuer'),
        clientId: text(method['clientId'], 'clientId'),
        ...(scope !== undefined && { scope: text(scope, 'scope') }),
      };
    default:
      throw new ConfigError('mode in config.json must be API_KEY, USER_POOL or OIDC.');
  }
}

function record(json: unknown, sentence: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new ConfigError(sentence);
  return json as Record<string, unknown>;
}

function text(json: unknown, name: string): string {
  if (typeof json !== 'string' || json === '') {
    throw new ConfigError(`${name} in config.json must be a text.`);
  }
  return json;
}

function urlOf(json: unknown, name: string): string {
  const url = text(json, name);
  if (!/^(https?|wss?):/.test(url) || !URL.canParse(url)) {
    throw new ConfigError(`${name} in config.json must be a URL.`);
  }
  return url;
}
