/**
 * Around every pipeline: who asks, then what the last function found, or null where it marked that there is nothing.
 * The owner comes from the identity, never from arguments.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  ctx.stash.owner = owner(ctx.identity);
  return {};
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.stash.isAbsent ? null : ctx.prev.result;
}

// All callers with an API key are one owner. An IAM caller is its Cognito identity, or its role whatever the session is called.
function owner(identity) {
  if (!identity) return 'API_KEY';
  if (identity.cognitoIdentityId) return `IAM#${identity.cognitoIdentityId}`;
  return `IAM#${identity.accountId}#${identity.username.split(':')[0]}`;
}
