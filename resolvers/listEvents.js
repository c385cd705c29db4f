import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a conversation's events by position: those after one, those before one, or the newest.
 * Strongly consistent: whoever catches up hears of what was missed only here.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { limit = 20, before, after } = ctx.args;
  check('limit', limit === null || (limit >= 1 && limit <= 100), '1 to 100');
  check('before', isNone(before) || (before >= 1 && before <= 99999999), 'a position');
  check('after', isNone(after) || (after >= 0 && after <= 99999998), 'a position');
  check('after', isNone(after) || isNone(before), 'left out when before is given');
  const first = isNone(after) ? 0 : after + 1;
  const last = isNone(before) ? 99999999 : before - 1;
  return query({
    query: { pk: { eq: `CONVERSATION#${ctx.source.id}` }, sk: { between: [key(first), key(last)] } },
    scanIndexForward: !isNone(after),
    consistentRead: true,
    limit: (limit ?? 20) + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const limit = ctx.args.limit ?? 20;
  const page = ctx.result.items.slice(0, limit);
  const items = page.map((event) => ({ ...event, text: event.content.map((block) => block.text ?? '').join('') }));
  if (!isNone(ctx.args.after)) return { items, hasMore: ctx.result.items.length > limit || ctx.result.nextToken !== null };
  return { items: items.reverse(), hasMore: items.length > 0 && items[0].position > 1 };
}

const isNone = (position) => position === undefined || position === null;
const key = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;
const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
