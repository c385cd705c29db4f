import { runtime, util } from '@aws-appsync/utils';
import { transactGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads what the caller has used of its quotas. With an API key nothing is counted: it is everybody's.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { identity } = ctx;
  const isAdministrator = (identity?.groups ?? []).indexOf('administrators') >= 0 || (!!identity?.accountId && !identity.cognitoIdentityId);
  ctx.stash.caller = { id: ctx.stash.owner, name: ctx.stash.userName ?? null, isAdministrator };
  if (!identity) runtime.earlyReturn(ctx.stash.caller);
  const now = util.time.nowISO8601();
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `USAGE#${ctx.stash.owner}`, sk } });
  return transactGet({ items: [at(`MINUTE#${now.slice(0, 16)}`), at(`DAY#${now.slice(0, 10)}`)] });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const [minute, day] = ctx.result.items;
  const messagesPerMinute = JSON.parse(ctx.env.MESSAGES_PER_MINUTE) || null;
  const tokensPerDay = JSON.parse(ctx.env.TOKENS_PER_DAY) || null;
  return {
    ...ctx.stash.caller,
    // Without a limit messages are not counted; tokens are, and GraphQL's Int ends where it does.
    messagesThisMinute: messagesPerMinute && (minute?.messages ?? 0),
    messagesPerMinute,
    tokensToday: Math.min(day?.tokens ?? 0, 2147483647),
    tokensPerDay,
  };
}
