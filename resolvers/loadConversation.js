import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation and its newest events in one query: META sorts right after the events, and no other item between them.
 * A message without a conversation begins one of its own id; whether it did so before, its transaction finds out.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const id = ctx.args.input.conversationId ?? ctx.args.input.id;
  ctx.stash.events = [];
  if (!id) {
    ctx.stash.conversation = begun(util.autoId());
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
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { conversationId, id } = ctx.args.input;
  const [conversation, ...events] = ctx.result.items;
  const isMine = conversation?.sk === 'META' && !conversation.deletedAt && conversation.owner === ctx.stash.owner;
  ctx.stash.asked = events.find((event) => event.id === ctx.stash.turnId);
  if (conversationId && !isMine) util.error(`There is no conversation ${conversationId}.`, 'NotFound');
  if (conversation && !isMine) util.error(`The id ${id} is taken.`, 'IdConflict');
  const isNew = !conversationId && !ctx.stash.asked;
  ctx.stash.conversation = isNew ? begun(id) : conversation;
  ctx.stash.events = isNew ? [] : events;
  return ctx.stash.conversation;
}

const begun = (id) => ({ id, agentId: 'default', eventCount: 0, isNew: true });
