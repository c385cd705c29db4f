import { runtime, util } from '@aws-appsync/utils';
import { transactGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads what the caller has used of its quotas. With an API key nothing is counted: it is everybody's.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { userId, userName, isAdministrator } = ctx.stash;
  ctx.stash.caller = { id: userId, name: userName, isAdministrator };
  if (!ctx.identity) runtime.earlyReturn(ctx.stash.caller);
  const now = util.time.nowISO8601();
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `USAGE#${userId}`, sk } });
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
