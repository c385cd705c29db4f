import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Lists the agents by id, after the default one, which needs no item.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const limit = ctx.args.limit ?? 20;
  check('limit', limit >= 1 && limit <= 100, '1 to 100');
  const token = ctx.args.nextToken ?? '';
  const cursor = util.matches('\\A(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\z', token) && util.base64Decode(token);
  check('nextToken', token === '' || (cursor && util.matches('\\A(?:!|[A-Za-z0-9_-]{1,64})\\z', cursor)), 'what the last page returned');
  return query({
    query: { listKey: { eq: 'AGENTS' }, ...(cursor ? { listSort: { gt: cursor } } : {}) },
    index: 'list',
    limit: token === '' ? limit : limit + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const first = ctx.args.nextToken ? [] : [ctx.stash.agent];
  const room = (ctx.args.limit ?? 20) - first.length;
  const items = ctx.result.items.slice(0, room);
  const more = ctx.result.items.length > room || ctx.result.nextToken;
  // "!" sorts below every id: the page held the default agent alone.
  const last = items.length > 0 ? items[items.length - 1].id : '!';
  const told = [...first, ...items].map((agent) => (ctx.stash.isAdministrator ? agent : { ...agent, systemPrompt: null }));
  return { items: told, nextToken: more ? util.base64Encode(last) : null };
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
