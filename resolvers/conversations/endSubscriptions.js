import { extensions } from '@aws-appsync/utils';

/**
 * Ends live subscriptions to a conversation: those of the user with whom it is no longer shared, or
 * everybody's after a deletion. authorizeSubscriber has set the filter that this payload meets.
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
