import { util } from '@aws-appsync/utils';

/**
 * Has the handler remove the items of a deleted conversation in the background.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  return { operation: 'Invoke', invocationType: 'Event', payload: { type: 'purge', conversationId: ctx.args.id } };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The conversation is deleted, but its purge did not start. Delete it again.', 'TryAgain');
  return ctx.prev.result;
}
