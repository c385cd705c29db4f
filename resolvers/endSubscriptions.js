import { extensions } from '@aws-appsync/utils';

/**
 * Ends the live subscriptions of a user who no longer takes part in a conversation, also where that was so before.
 */
export function request() {
  return { payload: null };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const { conversationId, userId } = ctx.args;
  extensions.invalidateSubscriptions({ subscriptionField: 'onConversationUpdate', payload: { conversationId, userId } });
  return ctx.prev.result;
}
