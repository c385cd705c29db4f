import { util } from '@aws-appsync/utils';

/**
 * Runs before every pipeline: identifies the caller by its identity, never by arguments. Guests of an
 * identity pool are refused.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  /** @type {any} */
  const identity = ctx.identity;
  if (identity?.userArn) requireIamAccess(ctx);
  ctx.stash.userId = identity ? userIdOf(identity) : 'API_KEY';
  ctx.stash.userName = userNameOf(identity?.claims ?? {});
  ctx.stash.isAdministrator = isAdministrator(identity);
  ctx.stash.groups = groupsOf(identity);
  return {};
}

/**
 * Runs after every pipeline: its last function's result.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  return ctx.stash.resolvesToNull ? null : ctx.prev.result;
}

function requireIamAccess(ctx) {
  const { userArn, cognitoIdentityAuthType } = ctx.identity;
  const isPublisher = [ctx.env.HANDLER_SESSIONS, ctx.env.CLOSER_SESSIONS].some((sessions) =>
    userArn.startsWith(sessions),
  );
  if (isPublisher) return;
  if (ctx.env.IAM_ACCESS !== 'true' || cognitoIdentityAuthType === 'unauthenticated') util.unauthorized();
}

/**
 * The sessions of a role are one user, whatever they are called; an identity pool's user is known by its
 * identity id.
 */
function userIdOf({ accountId, cognitoIdentityId, issuer, sub, username }) {
  if (issuer && sub) return `${issuer}#${sub}`;
  if (!accountId || !username) util.unauthorized();
  if (cognitoIdentityId) return `IAM#${cognitoIdentityId}`;
  const isRoleSession = username.startsWith('AROA');
  return `IAM#${accountId}#${isRoleSession ? username.split(':')[0] : username}`;
}

/** A name for people, at most 200 characters; null where the token has none. */
function userNameOf(claims) {
  const name = claims.name ?? claims['cognito:username'] ?? claims.username ?? claims.preferred_username;
  if (typeof name !== 'string') return null;
  // The first cut may split a surrogate pair; then the second does not.
  return [name.slice(0, 200), name.slice(0, 199)].find((cut) => isUnicode(cut)) || null;
}

/**
 * The groups of a user pool's user, or those in the claim groups of another provider's token. At most 100; a
 * user with more has the first ones.
 */
function groupsOf(identity) {
  const groups = identity?.groups ?? identity?.claims?.groups ?? [];
  const list = typeof groups === 'string' ? [groups] : groups;
  return list.slice(0, 100).filter((group) => typeof group === 'string');
}

function isAdministrator(identity) {
  if (identity?.userArn) return !identity.cognitoIdentityId;
  return (identity?.groups ?? []).indexOf('administrators') >= 0;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;
