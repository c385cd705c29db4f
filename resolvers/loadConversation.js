import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation and its newest events in one query: META sorts right after the events, and no other item between them.
 * A message without a conversation begins one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const id = ctx.args.input.conversationId;
  ctx.stash.events = [];
  if (!id) {
    ctx.stash.conversation = { id: util.autoId(), agentId: 'default', eventCount: 0, isNew: true };
    runtime.earlyReturn({});
  }
  return query({
    query: { pk: { eq: `CONVERSATION#${id}` }, sk: { between: ['EVENT#', 'META'] } },
    scanIndexForward: false,
    consistentRead: true,
    limit: 201,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const [conversation, ...events] = ctx.result.items;
  if (conversation?.sk !== 'META' || conversation.deletedAt || conversation.owner !== ctx.stash.owner) {
    util.error(`There is no conversation ${ctx.args.input.conversationId}.`, 'NotFound');
  }
  ctx.stash.conversation = conversation;
  ctx.stash.events = events;
  ctx.stash.asked = events.find((event) => event.id === ctx.stash.turnId);
  return conversation;
}
