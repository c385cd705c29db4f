/** The options of the command line. */
import { parseArgs } from 'node:util';
import { DeployError } from './sentences.js';

export interface Options {
  stack: string;
  region: string | undefined;
  profile: string | undefined;
  /** The client of the page in a user pool that is not of this stack, or `none`. */
  userPoolClientId: string | undefined;
  /** The client of the page at the OpenID Connect provider, or `none`. */
  oidcClientId: string | undefined;
  oidcScope: string;
  /** A folder with the built page. Without one the page is built. */
  page: string | undefined;
  /** Whether to delete the page's files, so that the stack can be deleted. */
  isDeletion: boolean;
}

export const USAGE = `npm run deploy -- --stack NAME [options]

Builds the chat page and uploads it to the bucket of a stack with ChatPage=true.

  --stack NAME                 the stack
  --region REGION              its region; else that of the environment or the profile
  --profile NAME               a profile of the AWS configuration files
  --user-pool-client-id ID     the page's client in a user pool that is not of this stack, or none
  --oidc-client-id ID          the page's client at the OpenID Connect provider, or none
  --oidc-scope SCOPES          what to ask the provider for; openid by default
  --page FOLDER                a built page; without it the page is built
  --delete                     deletes the page's files, so that the stack can be deleted
`;

/** `undefined` where the person asks for the usage. Throws a DeployError for anything else. */
export function parseOptions(words: string[]): Options | undefined {
  const values = parse(words);
  if (values.help) return undefined;
  if (!values.stack) throw new DeployError('Name the stack with --stack NAME.');
  return {
    stack: values.stack,
    region: values.region,
    profile: values.profile,
    userPoolClientId: values['user-pool-client-id'],
    oidcClientId: values['oidc-client-id'],
    oidcScope: values['oidc-scope'] ?? 'openid',
    page: values.page,
    isDeletion: values.delete ?? false,
  };
}

function parse(words: string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: words,
      options: {
        stack: text,
        region: text,
        profile: text,
        'user-pool-client-id': text,
        'oidc-client-id': text,
        'oidc-scope': text,
        page: text,
        delete: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new DeployError(`${(error as Error).message.split('. ')[0] ?? ''}. See --help.`);
  }
}
