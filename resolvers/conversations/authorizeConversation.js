import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a conversation and the caller's part in it with one query: participants sort right after META. A
 * caller who may not read it is told that there is none.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const args = ctx.args.input ?? ctx.args;
  const field = args.conversationId === undefined ? 'id' : 'conversationId';
  requireInput(field, isId(args[field]), ID_RULE);
  const sk = { between: ['META', `PARTICIPANT#${ctx.stash.userId}`] };
  return query({ query: { pk: { eq: `CONVERSATION#${args[field]}` }, sk }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { conversationId, id } = ctx.args.input ?? ctx.args;
  const conversation = ctx.result.items.find((item) => item.sk === 'META');
  const participant = ctx.result.items.find((item) => item.sk === `PARTICIPANT#${ctx.stash.userId}`);
  const access = conversation?.owner === ctx.stash.userId ? 'OWNER' : participant?.access;
  if (!conversation || conversation.deletedAt || !access) {
    util.error(`There is no conversation ${conversationId ?? id}.`, 'NotFound');
  }
  const isWriting = WRITING_FIELDS.indexOf(ctx.info.fieldName) >= 0;
  if (isWriting && access === 'READ') util.error('You may only read this conversation.', 'Unauthorized');
  if (access === 'WRITE') {
    ctx.stash.writePermission = writePermissionCheck(ctx, conversation.id);
    // The handler sends replies for as long as the share lasts.
    if (ctx.stash.replyTo) ctx.stash.replyTo.participantId = ctx.stash.userId;
  }
  ctx.stash.conversation = { ...conversation, ownerId: conversation.owner, access };
  return ctx.stash.conversation;
}

/**
 * The other fields that write have their own checks: only the owner may use them, or they are sendMessage.
 */
const WRITING_FIELDS = ['cancelTurn', 'retryTurn', 'continueTurn', 'answerToolCall'];

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

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
