import { extensions } from '@aws-appsync/utils';

/**
 * Ends the live subscriptions of a user who no longer takes part in a conversation, also where that was so before; of one that is
 * deleted, everybody's.
 */
export function request() {
  return { payload: null };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const { id, conversationId, userId } = ctx.args;
  const payload = { conversationId: conversationId ?? id, userId: userId ?? '*' };
  extensions.invalidateSubscriptions({ subscriptionField: 'onConversationUpdate', payload });
  return ctx.prev.result;
}
