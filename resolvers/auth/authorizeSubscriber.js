import { extensions, util } from '@aws-appsync/utils';

/** The conversation is authorized before; the subscription itself reads nothing. */
export function request() {
  return { payload: null };
}

/**
 * Limits the subscription to its conversation, and ends it when the conversation is deleted or no longer
 * shared with the caller. Returns null, because AppSync would deliver any other value as the first update.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { conversation, userId } = ctx.stash;
  const ofConversation = { conversationId: { eq: conversation.id } };
  extensions.setSubscriptionFilter(util.transform.toSubscriptionFilter(ofConversation));
  // endSubscriptions names one user, or * for everybody.
  const users = conversation.access === 'OWNER' ? ['*'] : ['*', userId];
  const ended = { or: users.map((user) => ({ ...ofConversation, userId: { eq: user } })) };
  extensions.setSubscriptionInvalidationFilter(util.transform.toSubscriptionFilter(ended));
  return null;
}
