import { util } from '@aws-appsync/utils';

/**
 * Around every pipeline: who asks, by identity, not arguments; guests are nobody. Then what the last function found, or null where marked.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { claims = {}, cognitoIdentityAuthType, cognitoIdentityId, groups, userArn } = ctx.identity ?? {};
  const publishes = [ctx.env.HANDLER_SESSIONS, ctx.env.CLOSER_SESSIONS].some((sessions) => userArn?.startsWith(sessions));
  if (userArn && !publishes && (ctx.env.IAM_ACCESS !== 'true' || cognitoIdentityAuthType === 'unauthenticated')) util.unauthorized();
  const name = claims.name ?? claims['cognito:username'] ?? claims.username ?? claims.preferred_username;
  const cuts = typeof name === 'string' ? [name.slice(0, 200), name.slice(0, 199)] : []; // the first may end in half a character
  ctx.stash.userId = ctx.identity ? userId(ctx.identity) : 'API_KEY';
  ctx.stash.userName = cuts.find((text) => util.base64Decode(util.base64Encode(text)) === text) || null;
  ctx.stash.isAdministrator = userArn ? !cognitoIdentityId : (groups ?? []).indexOf('administrators') >= 0;
  ctx.stash.quotas = ['sendMessage', 'retryTurn', 'continueTurn', 'shareConversation'].indexOf(ctx.info.fieldName) >= 0 && ctx.identity ? quotas(ctx) : [];
  return {};
}

export const response = (ctx) => (ctx.stash.isAbsent ? null : ctx.prev.result);

// A role is one user whatever its session is called; a federated user is known by account and name.
function userId({ accountId, cognitoIdentityId, issuer, sub, username }) {
  if (issuer && sub) return `${issuer}#${sub}`;
  if (!accountId || !username) util.unauthorized();
  return `IAM#${cognitoIdentityId ?? `${accountId}#${username.startsWith('AROA') ? username.split(':')[0] : username}`}`;
}

function quotas({ env, stash }) {
  const now = util.time.nowEpochMilliSeconds();
  const date = util.time.epochMilliSecondsToISO8601(now);
  const at = (sk) => ({ table: env.TABLE_NAME, key: util.dynamodb.toMapValues({ pk: `USAGE#${stash.userId}`, sk }) });
  const says = (expression, values) => ({ expression, expressionValues: util.dynamodb.toMapValues(values) });
  const below = (limit, sum) => says(`attribute_not_exists(${sum}) OR ${sum} < :limit`, { ':limit': JSON.parse(limit) });
  const one = says('SET expiresAt = :later ADD messages :one', { ':one': 1, ':later': Math.floor(now / 1000) + 3600 });
  const minute = { ...at(`MINUTE#${date.slice(0, 16)}`), operation: 'UpdateItem', update: one, condition: below(env.MESSAGES_PER_MINUTE, 'messages') };
  const day = { ...at(`DAY#${date.slice(0, 10)}`), operation: 'ConditionCheck', condition: below(env.TOKENS_PER_DAY, 'tokens') };
  const limits = [[env.MESSAGES_PER_MINUTE, minute, 60000], [env.TOKENS_PER_DAY, day, 86400000]].filter(([limit]) => limit !== '0');
  return limits.map(([, item, length]) => ({ item, retryAt: util.time.epochMilliSecondsToISO8601(now - (now % length) + length) }));
}
