import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Compares a message whose id is taken with the one that took it, where that lies beyond the newest events: the same again is its turn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { taken } = ctx.stash;
  if (!taken) runtime.earlyReturn(ctx.prev.result);
  const sk = `EVENT#${`${100000000 + taken.questionPosition}`.slice(1)}`;
  return get({ key: { pk: `CONVERSATION#${taken.conversationId}`, sk }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { taken } = ctx.stash;
  const asked = ctx.result;
  const same = asked && asked.content.length === 1 && asked.content[0].text === ctx.args.input.text;
  if (!same) util.error(`The id ${taken.id} is taken by another message.`, 'IdConflict');
  ctx.stash.asked = asked;
  ctx.stash.question = asked;
  ctx.stash.queued = taken;
  return taken;
}
