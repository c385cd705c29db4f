/** What the outputs of a stack say about its chat page. */
import { DeployError } from './sentences.js';

/** The outputs of template.yaml by their names. */
export type Outputs = Readonly<Record<string, string>>;

export interface DeployedStack {
  /** The page's URL, which ends in `/`. */
  url: string;
  bucket: string;
  distributionId: string;
  graphqlUrl: string;
  realtimeUrl: string;
  region: string;
  hasApiKey: boolean;
  /** Without a client the pool is not of this stack. */
  userPool: { issuer: string; clientId: string | undefined } | undefined;
  oidcIssuer: string | undefined;
}

export function readStack(name: string, outputs: Outputs): DeployedStack {
  if (outputs['ChatPageUrl'] === undefined) {
    throw new DeployError(
      `The stack ${name} has no chat page. Deploy it with the parameter first: ` +
        'sam deploy --parameter-overrides ChatPage=true',
    );
  }
  const required = (output: string): string => {
    const value = outputs[output];
    if (value === undefined) {
      throw new DeployError(
        `The stack ${name} has no output ${output}. Deploy this version of template.yaml.`,
      );
    }
    return value;
  };
  const poolIssuer = outputs['UserPoolIssuer'];
  return {
    url: required('ChatPageUrl'),
    bucket: required('ChatPageBucket'),
    distributionId: required('ChatPageDistributionId'),
    graphqlUrl: required('GraphQLUrl'),
    realtimeUrl: required('RealtimeUrl'),
    region: required('Region'),
    hasApiKey: outputs['ApiKey'] !== undefined,
    userPool:
      poolIssuer === undefined ? undefined : { issuer: poolIssuer, clientId: outputs['UserPoolClientId'] },
    oidcIssuer: outputs['OidcIssuer'],
  };
}
