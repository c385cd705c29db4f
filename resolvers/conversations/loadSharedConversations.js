import { runtime, util } from '@aws-appsync/utils';
import { batchGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the listed conversations that others share with the caller, and the caller's part in each. The index
 * is eventually consistent, so a conversation may be listed that is no longer shared.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const shared = ctx.prev.result.items.filter((item) => item.sk !== 'META');
  if (shared.length === 0) runtime.earlyReturn(toConnection(ctx.prev.result, []));
  const keys = shared.flatMap(({ pk, sk }) => [
    { pk, sk: 'META' },
    { pk, sk },
  ]);
  return batchGet({ tables: { [ctx.env.TABLE_NAME]: { keys, consistentRead: true } } });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const unprocessed = (ctx.result?.unprocessedKeys ?? {})[ctx.env.TABLE_NAME] ?? [];
  if (ctx.error || unprocessed.length > 0) raiseTableError(ctx);
  return toConnection(ctx.prev.result, ctx.result.data[ctx.env.TABLE_NAME]);
}

/**
 * `found`: for each shared conversation its item and the caller's participant item, in the order of the list;
 * null for missing.
 */
function toConnection({ items, nextToken }, found) {
  const shared = items.filter((item) => item.sk !== 'META');
  const conversations = items.map((item) => {
    if (item.sk === 'META') return { ...item, ownerId: item.owner, access: 'OWNER' };
    const index = shared.indexOf(item);
    return toSharedConversation(found[2 * index], found[2 * index + 1]);
  });
  return { items: conversations.filter((conversation) => conversation), nextToken };
}

function toSharedConversation(conversation, participant) {
  if (!conversation || !participant || conversation.deletedAt) return null;
  return { ...conversation, ownerId: conversation.owner, access: participant.access };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
