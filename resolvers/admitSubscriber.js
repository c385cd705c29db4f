import { extensions, util } from '@aws-appsync/utils';

/**
 * Ends the check of a subscription: whoever came this far may listen to this conversation, and is told nothing yet.
 */
export function request() {
  return { payload: null };
}

/**
 * Nothing: a value would be delivered as the first update. A participant listens until the conversation is no longer shared; its owner
 * cannot be shut out.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { conversation, userId } = ctx.stash;
  const here = { conversationId: { eq: conversation.id } };
  extensions.setSubscriptionFilter(util.transform.toSubscriptionFilter(here));
  if (conversation.access !== 'OWNER') {
    extensions.setSubscriptionInvalidationFilter(util.transform.toSubscriptionFilter({ ...here, userId: { eq: userId } }));
  }
  return null;
}
