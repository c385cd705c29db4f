import { runtime, util } from '@aws-appsync/utils';
import { transactGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads how much of its quotas the caller has used. The API key has no quota.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (isApiKey(ctx)) runtime.earlyReturn(callerOf(ctx));
  const now = util.time.nowISO8601();
  const usageItem = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `USAGE#${ctx.stash.userId}`, sk } });
  return transactGet({
    items: [usageItem(`MINUTE#${now.slice(0, 16)}`), usageItem(`DAY#${now.slice(0, 10)}`)],
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const [minute, day] = ctx.result.items;
  const messagesPerMinute = JSON.parse(ctx.env.MESSAGES_PER_MINUTE) || null;
  const tokensPerDay = JSON.parse(ctx.env.TOKENS_PER_DAY) || null;
  return {
    ...callerOf(ctx),
    // Without a limit, messages are not counted.
    messagesThisMinute: messagesPerMinute && (minute?.messages ?? 0),
    messagesPerMinute,
    // The largest Int of GraphQL.
    tokensToday: Math.min(day?.tokens ?? 0, 2147483647),
    tokensPerDay,
  };
}

function callerOf(ctx) {
  const { userId, userName, isAdministrator } = ctx.stash;
  return { id: userId, name: userName, isAdministrator };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';
