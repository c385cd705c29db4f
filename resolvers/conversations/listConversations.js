import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a page of the index with the caller's conversations and those shared with it, latest activity first.
 * A page's token is the index's sort key of its last item.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const limit = ctx.args.limit ?? 20;
  requireInput('limit', limit >= 1 && limit <= 100, '1 to 100');
  const token = ctx.args.nextToken ?? '';
  const lastSort = decodeToken(token);
  const isSortKey = util.matches('\\A[0-9TZ:.-]{20,30}#[A-Za-z0-9_-]{1,64}\\z', lastSort);
  requireInput('nextToken', token === '' || isSortKey, 'what the last page returned');
  if (isApiKey(ctx) && ctx.env.API_KEY_LISTING !== 'true')
    runtime.earlyReturn({ items: [], nextToken: null });
  const listKey = { eq: `OWNER#${ctx.stash.userId}` };
  return query({
    query: lastSort ? { listKey, listSort: { lt: lastSort } } : { listKey },
    index: 'list',
    scanIndexForward: false,
    limit: limit + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const page = ctx.result.items.slice(0, ctx.args.limit ?? 20);
  const items = withReadableParticipants(page);
  const hasMore = ctx.result.items.length > items.length || ctx.result.nextToken;
  const nextToken = hasMore ? util.base64Encode(items[items.length - 1].listSort) : null;
  return { items: withoutDuplicates(items), nextToken };
}

/**
 * The part of a page that loadSharedConversations can read: it reads two items for each shared conversation,
 * and one request reads at most 100.
 */
function withReadableParticipants(page) {
  const firstTooMany = page.filter((item) => item.sk !== 'META')[50];
  return firstTooMany ? page.filter((item) => item.listSort > firstTooMany.listSort) : page;
}

/** The index is eventually consistent: a conversation that has just moved in it may be there twice. */
function withoutDuplicates(items) {
  const keys = items.map((item) => item.pk);
  return items.filter((item, index) => keys.indexOf(item.pk) === index);
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** Decodes a nextToken: the key of the page's last item, or the empty text where the token is invalid. */
function decodeToken(token) {
  const isBase64 = util.matches(
    '\\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\z',
    token,
  );
  return isBase64 ? util.base64Decode(token) : '';
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';
