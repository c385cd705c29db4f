import { util } from '@aws-appsync/utils';

/**
 * Invokes the handler asynchronously to purge the items of a deleted conversation.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const payload = { type: 'purge', conversationId: ctx.args.id };
  return { operation: 'Invoke', invocationType: 'Event', payload };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.prev.result;
  console.error(ctx.error.type);
  return util.error('The conversation is deleted, but its purge did not start. Delete it again.', 'TryAgain');
}
