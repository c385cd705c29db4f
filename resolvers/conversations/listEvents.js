import { util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a page of a conversation's events by position: those after a position, those before one, or the
 * newest. Strongly consistent, because a client that missed updates learns of them only here.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { before, after } = ctx.args;
  const limit = ctx.args.limit ?? 20;
  requireInput('limit', limit >= 1 && limit <= 100, '1 to 100');
  requireInput('before', isNull(before) || (before >= 1 && before <= 99999999), 'a position');
  requireInput('after', isNull(after) || (after >= 0 && after <= 99999998), 'a position');
  requireInput('after', isNull(after) || isNull(before), 'left out when before is given');
  const first = isNull(after) ? 0 : after + 1;
  const last = isNull(before) ? 99999999 : before - 1;
  return query({
    query: {
      pk: { eq: `CONVERSATION#${ctx.source.id}` },
      sk: { between: [eventKey(first), eventKey(last)] },
    },
    scanIndexForward: !isNull(after),
    consistentRead: true,
    limit: limit + 1,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const limit = ctx.args.limit ?? 20;
  const items = ctx.result.items.slice(0, limit);
  if (isNull(ctx.args.after)) {
    ctx.stash.precedingEvent = ctx.result.items[limit];
    const oldestFirst = items.reverse();
    return { items: oldestFirst, hasMore: items.length > 0 && oldestFirst[0].position > 1 };
  }
  return { items, hasMore: ctx.result.items.length > limit || ctx.result.nextToken !== null };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
