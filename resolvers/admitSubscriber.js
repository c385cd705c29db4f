import { extensions, util } from '@aws-appsync/utils';

/**
 * Ends the check of a subscription: whoever came this far may listen to this conversation, and is told nothing yet.
 */
export function request() {
  return { payload: null };
}

/**
 * Nothing: a value would be delivered as the first update. Everybody listens until the conversation is deleted, a participant until it
 * is no longer shared.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { conversation, userId } = ctx.stash;
  const here = { conversationId: { eq: conversation.id } };
  extensions.setSubscriptionFilter(util.transform.toSubscriptionFilter(here));
  const users = conversation.access === 'OWNER' ? ['*'] : ['*', userId];
  const shutOut = { or: users.map((user) => ({ ...here, userId: { eq: user } })) };
  extensions.setSubscriptionInvalidationFilter(util.transform.toSubscriptionFilter(shutOut));
  return null;
}
