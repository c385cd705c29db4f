import { util } from '@aws-appsync/utils';

/**
 * Runs before every pipeline: identifies the caller by its identity. Arguments count only where they are the
 * gateway's. Guests of an identity pool are refused.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const isGateway = isGatewaySession(ctx);
  if (!isGateway) requireOwnAccess(ctx);
  /** @type {any} */
  const identity = isGateway ? representedIdentity(ctx) : ctx.identity;
  ctx.stash.userId = identity ? userIdOf(identity) : 'API_KEY';
  ctx.stash.userName = userNameOf(identity?.claims ?? {});
  ctx.stash.isAdministrator = !isGateway && isAdministrator(identity);
  ctx.stash.groups = groupsOf(identity);
  if (ctx.args.replyTo) ctx.stash.replyTo = checkedReplyTo(ctx);
  return {};
}

/**
 * Runs after every pipeline: its last function's result.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  return ctx.stash.resolvesToNull ? null : ctx.prev.result;
}

function isGatewaySession(ctx) {
  const userArn = ctx.identity?.userArn;
  return !!userArn && ctx.env.GATEWAY_SESSIONS.split(',').some((sessions) => userArn.startsWith(sessions));
}

/** Nobody but the gateway names another user, or where the answer is sent besides the subscriptions. */
function requireOwnAccess(ctx) {
  const { onBehalfOf, replyTo } = ctx.args;
  if (onBehalfOf || replyTo) util.unauthorized();
  if (ctx.identity?.userArn) requireIamAccess(ctx);
}

/**
 * The identity of the user for whom the gateway makes the request, as over GraphQL with the same credential;
 * null for the API key. The gateway has no requests of its own. The fields inside of a result read what the
 * root field has authorized, as nobody in particular.
 */
function representedIdentity(ctx) {
  const { accountId, username } = ctx.identity;
  if (ctx.source) return { accountId, username };
  if (!ctx.args.onBehalfOf) util.unauthorized();
  const { issuer, sub, name, groups, apiKey, iam } = ctx.args.onBehalfOf;
  const isToken = !isNull(issuer);
  const given = [isToken, !!apiKey, !isNull(iam)].filter((isGiven) => isGiven);
  requireInput('onBehalfOf.sub', isToken === !isNull(sub), 'given with issuer, and left out without it');
  const isOne = given.length === 1;
  requireInput('onBehalfOf.issuer', isOne, 'given, or apiKey true, or iam given: exactly one of them');
  requireInput('onBehalfOf.name', isToken || isNull(name), 'left out without issuer');
  requireInput('onBehalfOf.groups', isToken || isNull(groups), 'left out without issuer');
  if (iam) return iamIdentity(ctx, iam);
  return isToken ? tokenIdentity(ctx.args.onBehalfOf) : null;
}

/** As over GraphQL, where the deployment lets in nobody with IAM but by a parameter. */
function iamIdentity(ctx, { accountId, username, cognitoIdentityId }) {
  if (ctx.env.IAM_ACCESS !== 'true') util.unauthorized();
  const isAccount = util.matches('\\A[0-9]{12}\\z', accountId);
  requireInput('onBehalfOf.iam.accountId', isAccount, '12 digits');
  const isName = util.matches('\\A[A-Za-z0-9_+=,.@:-]{1,255}\\z', username);
  requireInput('onBehalfOf.iam.username', isName, '1 to 255 of A-Z, a-z, 0-9 and _+=,.@:-');
  const isIdentity = isNull(cognitoIdentityId) || util.matches(IDENTITY_ID, cognitoIdentityId);
  requireInput('onBehalfOf.iam.cognitoIdentityId', isIdentity, 'a region, : and a UUID');
  return { accountId, username, cognitoIdentityId };
}

const IDENTITY_ID = '\\A[a-z0-9-]{1,30}:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\\z';

function tokenIdentity({ issuer, sub, name, groups }) {
  const isIssuer = util.matches('\\A[\\x21\\x22\\x24-\\x7E]{1,512}\\z', issuer);
  requireInput('onBehalfOf.issuer', isIssuer, '1 to 512 printable ASCII characters without blanks and #');
  const isSubject = util.matches('\\A[\\x20-\\x7E]{1,255}\\z', sub);
  requireInput('onBehalfOf.sub', isSubject, '1 to 255 printable ASCII characters');
  requireInput('onBehalfOf.name', (name ?? '').length <= 4096, 'at most 4,096 characters');
  requireInput('onBehalfOf.groups', (groups ?? []).length <= 100, 'at most 100 groups');
  const areShort = (groups ?? []).every((group) => group.length <= 1024);
  requireInput('onBehalfOf.groups', areShort, 'groups of at most 1,024 characters each');
  return { issuer, sub, groups, claims: { name } };
}

/**
 * Where the handler sends the answer, and the updates if they are wanted: a channel of AppSync
 * Events, or a connection, which the table keeps under its user's id.
 */
function checkedReplyTo(ctx) {
  const { events, websocket, stream, requestId } = ctx.args.replyTo;
  const isOne = isNull(events) !== isNull(websocket);
  requireInput('replyTo.events', isOne, 'given, or websocket: exactly one of the two');
  const isRequestId = isNull(requestId) || (requestId.length <= 128 && isUnicode(requestId));
  requireInput('replyTo.requestId', isRequestId, 'at most 128 characters, without lone surrogates');
  const format = { ...(stream ? { stream } : {}), ...(isNull(requestId) ? {} : { requestId }) };
  if (!isNull(events)) {
    requireInput('replyTo.events', util.matches(CHANNEL, events), CHANNEL_RULE);
    return { events, ...format };
  }
  const { connectionId } = websocket;
  const isConnection = util.matches('\\A[A-Za-z0-9_=+/-]{1,128}\\z', connectionId);
  requireInput('replyTo.websocket.connectionId', isConnection, '1 to 128 of A-Z, a-z, 0-9, _, =, +, / and -');
  return { websocket: { connectionId, userId: ctx.stash.userId }, ...format };
}

/** One to five segments. The first is the namespace. */
const CHANNEL = '\\A(?:/[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?){1,5}\\z';

const CHANNEL_RULE = '/ and a segment, one to five times: each 1 to 50 of A-Z, a-z, 0-9 and inner hyphens';

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
  // A claim of another type has no groups.
  const list = typeof groups === 'string' ? [groups] : groups.length >= 0 ? groups : [];
  return list.slice(0, 100).filter((group) => typeof group === 'string');
}

function isAdministrator(identity) {
  if (identity?.userArn) return !identity.cognitoIdentityId;
  return (identity?.groups ?? []).indexOf('administrators') >= 0;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;
