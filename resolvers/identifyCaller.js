import { util } from '@aws-appsync/utils';

/**
 * Around every pipeline: who asks, by identity and never by arguments; then what the last function found, or null where that is marked.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { env, identity } = ctx;
  const { claims = {}, cognitoIdentityId, groups, userArn } = identity ?? {};
  const publishes = [env.HANDLER_SESSIONS, env.CLOSER_SESSIONS].some((sessions) => userArn?.startsWith(sessions));
  if (userArn && !publishes && env.IAM_ACCESS !== 'true') util.unauthorized();
  const name = claims.name ?? claims['cognito:username'] ?? claims.username ?? claims.preferred_username;
  // The cut may go through a pair of surrogates.
  const names = typeof name === 'string' ? [name.slice(0, 200), name.slice(0, 199)] : [];
  ctx.stash.userId = identity ? userId(identity) : 'API_KEY';
  ctx.stash.userName = names.find((text) => util.base64Decode(util.base64Encode(text)) === text) || null;
  ctx.stash.isAdministrator = userArn ? !cognitoIdentityId : (groups ?? []).indexOf('administrators') >= 0;
  return {};
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.stash.isAbsent ? null : ctx.prev.result;
}

// A role is one user whatever its session is called; a federated user is known by account and name.
function userId({ accountId, cognitoIdentityId, issuer, sub, username }) {
  if (issuer && sub) return `${issuer}#${sub}`;
  if (cognitoIdentityId) return `IAM#${cognitoIdentityId}`;
  if (!accountId || !username) util.unauthorized();
  return `IAM#${accountId}#${username.startsWith('AROA') ? username.split(':')[0] : username}`;
}
