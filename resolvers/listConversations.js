import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Lists the caller's conversations, its own and those it takes part in, latest activity first. The cursor is ours: where the page ended.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const limit = ctx.args.limit ?? 20;
  check('limit', limit >= 1 && limit <= 100, '1 to 100');
  const token = ctx.args.nextToken ?? '';
  const cursor = util.matches('\\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\z', token) && util.base64Decode(token);
  const end = cursor && util.matches('\\A[0-9TZ:.-]{20,30}#[A-Za-z0-9_-]{1,64}\\z', cursor);
  check('nextToken', token === '' || end, 'what the last page returned');
  if (!ctx.identity && ctx.env.API_KEY_LISTING !== 'true') runtime.earlyReturn({ items: [], nextToken: null });
  return query({
    query: { listKey: { eq: `OWNER#${ctx.stash.userId}` }, ...(cursor ? { listSort: { lt: cursor } } : {}) },
    index: 'list',
    scanIndexForward: false,
    limit: limit + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const limit = ctx.args.limit ?? 20;
  const page = ctx.result.items.slice(0, limit);
  // Of each that is shared two items are read, in one read of at most 100: the next page has the others.
  const over = page.filter((item) => item.sk !== 'META')[50];
  const part = over ? page.filter((item) => item.listSort > over.listSort) : page;
  // The index is late: what has just moved in it may be there twice.
  const keys = part.map(({ pk }) => pk);
  const items = part.filter(({ pk }, nth) => keys.indexOf(pk) === nth);
  const more = ctx.result.items.length > part.length || ctx.result.nextToken;
  return { items, nextToken: more ? util.base64Encode(part[part.length - 1].listSort) : null };
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
