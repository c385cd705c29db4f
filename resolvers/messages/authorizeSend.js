import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation, its newest events and the caller's part in it with one query: META sorts right
 * after the events, and the participants right after META. Refuses a caller who may not write.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  ctx.stash.recentEvents = [];
  if (ctx.stash.conversation) runtime.earlyReturn({});
  const sk = { between: ['EVENT#', `PARTICIPANT#${ctx.stash.userId}`] };
  return query({
    query: { pk: { eq: `CONVERSATION#${ctx.stash.conversationId}` }, sk },
    scanIndexForward: false,
    consistentRead: true,
    limit: 201,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { turnId, userId } = ctx.stash;
  const { items } = ctx.result;
  const conversation = items.find((item) => item.sk === 'META');
  const participant = items.find((item) => item.sk === `PARTICIPANT#${userId}`);
  const access = conversation?.owner === userId ? 'OWNER' : participant?.access;
  if (!conversation || conversation.deletedAt || !access) raiseNotFound(ctx);
  if (access === 'READ') util.error('You may only read this conversation.', 'Unauthorized');
  if (access === 'WRITE') {
    ctx.stash.writePermission = writePermissionCheck(ctx, conversation.id);
    // The handler sends replies for as long as the share lasts.
    if (ctx.stash.replyTo) ctx.stash.replyTo.participantId = userId;
  }
  ctx.stash.conversation = conversation;
  ctx.stash.recentEvents = items.filter((item) => item.sk.startsWith('EVENT#'));
  ctx.stash.existingMessage = ctx.stash.recentEvents.find((event) => event.id === turnId);
  return conversation;
}

/** The conversation that a first message has begun may be deleted; then the message's id stays taken. */
function raiseNotFound(ctx) {
  const { conversationId } = ctx.args.input;
  if (conversationId) util.error(`There is no conversation ${conversationId}.`, 'NotFound');
  util.error(`The id ${ctx.stash.turnId} is taken by another message.`, 'IdConflict');
}

// Copies of helpers in resolvers/shared.js, which says why.

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/**
 * A participant's right to write is checked by the transaction that writes, because it may end between the
 * read and the write. The same item moves the conversation to the top of the participant's list. The owner
 * needs no such item.
 */
function writePermissionCheck(ctx, conversationId) {
  return {
    updateItem: {
      ...conversationItem(ctx, conversationId, `PARTICIPANT#${ctx.stash.userId}`),
      update: { listSort: `${util.time.nowISO8601()}#${conversationId}` },
      condition: { access: { eq: 'WRITE' } },
    },
  };
}
