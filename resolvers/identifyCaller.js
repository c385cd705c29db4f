import { util } from '@aws-appsync/utils';

/**
 * Around every pipeline: who asks, then what the last function found, or null where it marked that there is nothing.
 * The owner comes from the identity, never from arguments.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  ctx.stash.owner = owner(ctx.identity);
  ctx.stash.quotas = quotas(ctx);
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

// They join the transaction of what is sent. An answer's tokens are added once it has ended, so that the last one may overshoot.
function quotas({ env, identity, info, stash }) {
  if (!identity || ['sendMessage', 'retryTurn', 'continueTurn'].indexOf(info.fieldName) < 0) return [];
  const now = util.time.nowEpochMilliSeconds();
  const [date, later] = [util.time.epochMilliSecondsToISO8601(now), util.time.epochMilliSecondsToSeconds(now) + 3600];
  const at = (sk) => ({ table: env.TABLE_NAME, key: util.dynamodb.toMapValues({ pk: `USAGE#${stash.owner}`, sk }) });
  const typed = (values) => ({ expressionValues: util.dynamodb.toMapValues(values) });
  const sent = { expression: 'attribute_not_exists(messages) OR messages < :limit', ...typed({ ':limit': JSON.parse(env.MESSAGES_PER_MINUTE) }) };
  const spent = { expression: 'attribute_not_exists(tokens) OR tokens < :limit', ...typed({ ':limit': JSON.parse(env.TOKENS_PER_DAY) }) };
  const update = { expression: 'SET expiresAt = :later ADD messages :one', ...typed({ ':one': 1, ':later': later }) };
  const minute = { ...at(`MINUTE#${date.slice(0, 16)}`), operation: 'UpdateItem', update, condition: sent };
  const day = { ...at(`DAY#${date.slice(0, 10)}`), operation: 'ConditionCheck', condition: spent };
  const limits = [[env.MESSAGES_PER_MINUTE, minute, 60000], [env.TOKENS_PER_DAY, day, 86400000]].filter(([limit]) => limit !== '0');
  return limits.map(([, item, length]) => ({ item, retryAt: util.time.epochMilliSecondsToISO8601(now - (now % length) + length) }));
}
