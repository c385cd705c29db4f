import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation that is asked about, and who takes part in it, up to the caller: participants sort right after META.
 * Whoever may not see it learns no more than that there is none.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const args = ctx.args.input ?? ctx.args;
  const field = args.conversationId === undefined ? 'id' : 'conversationId';
  const id = args[field];
  // Anchored at both ends: whether matches means the whole text or a part of it is not documented.
  if (!util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id)) {
    util.error(`${field} must be 1 to 64 of A-Z, a-z, 0-9, _ and -.`, 'InvalidInput', null, { field });
  }
  const sk = { between: ['META', `PARTICIPANT#${ctx.stash.userId}`] };
  return query({ query: { pk: { eq: `CONVERSATION#${id}` }, sk }, consistentRead: true });
}

/** What a participant writes with a transaction, that holds by `admission`, which also lists the conversation anew. */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { conversationId, id } = ctx.args.input ?? ctx.args;
  const [meta, ...participants] = ctx.result.items;
  const sk = `PARTICIPANT#${ctx.stash.userId}`;
  const access = meta?.owner === ctx.stash.userId ? 'OWNER' : participants.find((item) => item.sk === sk)?.access;
  if (meta?.sk !== 'META' || meta.deletedAt || !access) util.error(`There is no conversation ${conversationId ?? id}.`, 'NotFound');
  if (access === 'READ' && WRITING.indexOf(ctx.info.fieldName) >= 0) util.error('You may only read this conversation.', 'Unauthorized');
  const at = { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${meta.id}`, sk } };
  const listed = { listSort: `${util.time.nowISO8601()}#${meta.id}` };
  ctx.stash.admission = access === 'WRITE' ? [{ updateItem: { ...at, update: listed, condition: { access: { eq: 'WRITE' } } } }] : [];
  ctx.stash.conversation = { ...meta, ownerId: meta.owner, access };
  return ctx.stash.conversation;
}

const WRITING = ['cancelTurn', 'retryTurn', 'continueTurn'];
