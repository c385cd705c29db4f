/** The page's config.json. */
import type { Options } from './options.js';
import { DeployError } from './sentences.js';
import type { DeployedStack } from './stack.js';

export interface PageConfig {
  graphqlUrl: string;
  realtimeUrl: string;
  region: string;
  signIn: SignInMethod[];
}

/** An API key is not in the file, which anybody can read: a person types it, or has it in the page's link. */
export type SignInMethod = { mode: 'API_KEY' } | IssuerMethod;

export interface IssuerMethod {
  mode: 'USER_POOL' | 'OIDC';
  issuer: string;
  clientId: string;
  scope: string;
}

type ClientOptions = Pick<Options, 'userPoolClientId' | 'oidcClientId' | 'oidcScope'>;

/**
 * Offers tokens before the API key. Throws where the stack accepts tokens for whose issuer no client is
 * known: a forgotten option would take a way to sign in from the page.
 */
export function pageConfig(stack: DeployedStack, options: ClientOptions): PageConfig {
  const signIn = [...userPoolMethod(stack, options), ...oidcMethod(stack, options)];
  const methods: SignInMethod[] = stack.hasApiKey ? [...signIn, { mode: 'API_KEY' }] : signIn;
  if (methods.length === 0) {
    throw new DeployError(
      'Nobody could sign in on the page: give it a client, or deploy the stack with an API key.',
    );
  }
  const { graphqlUrl, realtimeUrl, region } = stack;
  return { graphqlUrl, realtimeUrl, region, signIn: methods };
}

function userPoolMethod({ userPool }: DeployedStack, options: ClientOptions): IssuerMethod[] {
  const { userPoolClientId } = options;
  if (!userPool) {
    refuse(userPoolClientId, '--user-pool-client-id', 'accepts no tokens of a user pool');
    return [];
  }
  if (userPool.clientId !== undefined) {
    refuse(userPoolClientId, '--user-pool-client-id', 'has a user pool of its own, whose client is known');
  }
  const clientId = userPool.clientId ?? userPoolClientId;
  // What template.yaml allows its client. Another one has to allow openid alone.
  const scope = userPool.clientId === undefined ? 'openid' : 'openid profile';
  return issuerMethod('USER_POOL', userPool.issuer, clientId, scope, '--user-pool-client-id');
}

function oidcMethod(
  { oidcIssuer }: DeployedStack,
  { oidcClientId, oidcScope }: ClientOptions,
): IssuerMethod[] {
  if (oidcIssuer === undefined) {
    refuse(oidcClientId, '--oidc-client-id', 'accepts no tokens of an OpenID Connect provider');
    return [];
  }
  return issuerMethod('OIDC', oidcIssuer, oidcClientId, oidcScope, '--oidc-client-id');
}

function issuerMethod(
  mode: IssuerMethod['mode'],
  issuer: string,
  clientId: string | undefined,
  scope: string,
  option: string,
): IssuerMethod[] {
  if (clientId === undefined) {
    throw new DeployError(
      `The stack accepts tokens of ${issuer}: give the page's client there with ${option} ID, ` +
        `or leave this sign-in out with ${option} none.`,
    );
  }
  return clientId === 'none' ? [] : [{ mode, issuer, clientId, scope }];
}

function refuse(value: string | undefined, option: string, reason: string): void {
  if (value !== undefined) throw new DeployError(`${option} has no use: the stack ${reason}.`);
}
