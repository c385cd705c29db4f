import { runtime, util } from '@aws-appsync/utils';
import { batchGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the conversations that others share with the caller. The index that listed them is late: whoever was shut out is told nothing.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const shared = ctx.prev.result.items.filter((item) => item.sk !== 'META');
  const keys = shared.flatMap(({ pk, sk }) => [{ pk, sk: 'META' }, { pk, sk }]);
  if (keys.length === 0) runtime.earlyReturn(told(ctx.prev.result, []));
  return batchGet({ tables: { [ctx.env.TABLE_NAME]: { keys, consistentRead: true } } });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const left = (ctx.result?.unprocessedKeys ?? {})[ctx.env.TABLE_NAME] ?? [];
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error || left.length > 0) util.error('The table did not answer. Try again.', 'TryAgain');
  return told(ctx.prev.result, ctx.result.data[ctx.env.TABLE_NAME]);
}

// The items read come in pairs, in the order of the list.
function told({ items, nextToken }, read) {
  const conversations = items.map((item) => {
    const [meta, part] = item.sk === 'META' ? [item, { access: 'OWNER' }] : [read.shift(), read.shift()];
    return meta && part && !meta.deletedAt ? { ...meta, ownerId: meta.owner, access: part.access } : null;
  });
  return { items: conversations.filter((conversation) => conversation), nextToken };
}
