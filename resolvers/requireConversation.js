import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation that is asked about; whoever may not see it learns no more than that there is none.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const field = ctx.args.conversationId === undefined ? 'id' : 'conversationId';
  const id = ctx.args[field];
  // Anchored at both ends: whether matches means the whole text or a part of it is not documented.
  if (!util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id)) {
    util.error(`${field} must be 1 to 64 of A-Z, a-z, 0-9, _ and -.`, 'InvalidInput', null, { field });
  }
  return get({ key: { pk: `CONVERSATION#${id}`, sk: 'META' }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const conversation = ctx.result;
  if (!conversation || conversation.deletedAt || conversation.owner !== ctx.stash.owner) {
    util.error(`There is no conversation ${ctx.args.conversationId ?? ctx.args.id}.`, 'NotFound');
  }
  ctx.stash.conversation = conversation;
  return conversation;
}
