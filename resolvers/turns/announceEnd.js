import { runtime } from '@aws-appsync/utils';

/**
 * Lets the handler announce the end of a turn that was cancelled while it waited. No other invocation is
 * under way that would tell the subscribers.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { announcesEnd, turn } = ctx.stash;
  if (!announcesEnd) runtime.earlyReturn(ctx.prev.result);
  const { id: turnId, conversationId, replyTo, run } = turn;
  const payload = { type: 'close', conversationId, turnId, run, replyTo };
  return { operation: 'Invoke', invocationType: 'Event', payload };
}

/**
 * The turn has ended in any case.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  return ctx.prev.result;
}
