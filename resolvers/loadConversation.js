import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversation, its newest events and who takes part in it, up to the caller, in one query: META sorts right after the events,
 * the participants right after META.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  ctx.stash.events = [];
  if (ctx.stash.conversation) runtime.earlyReturn({});
  const sk = { between: ['EVENT#', `PARTICIPANT#${ctx.stash.userId}`] };
  return query({
    query: { pk: { eq: `CONVERSATION#${ctx.args.input.conversationId}` }, sk },
    scanIndexForward: false,
    consistentRead: true,
    limit: 201,
  });
}

/** A participant's right to write is held by `admission`, in the transaction; it also lists the conversation anew. */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { turnId, userId } = ctx.stash;
  const sk = `PARTICIPANT#${userId}`;
  const meta = ctx.result.items.find((item) => item.sk === 'META');
  const access = meta?.owner === userId ? 'OWNER' : ctx.result.items.find((item) => item.sk === sk)?.access;
  if (!meta || meta.deletedAt || !access) util.error(`There is no conversation ${ctx.args.input.conversationId}.`, 'NotFound');
  if (access === 'READ') util.error('You may only read this conversation.', 'Unauthorized');
  const at = { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${meta.id}`, sk } };
  const listed = { listSort: `${util.time.nowISO8601()}#${meta.id}` };
  ctx.stash.admission = access === 'WRITE' ? [{ updateItem: { ...at, update: listed, condition: { access: { eq: 'WRITE' } } } }] : [];
  ctx.stash.conversation = meta;
  ctx.stash.events = ctx.result.items.filter((item) => item.sk.startsWith('EVENT#'));
  ctx.stash.asked = ctx.stash.events.find((event) => event.id === turnId);
  return meta;
}
