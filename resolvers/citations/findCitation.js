import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a page of a turn's events, newest first, of which the table returns the one that is asked for. A page
 * reads at most 1 MB. The pipeline names this function once for each page that it allows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, eventId } = ctx.args;
  const { citation, eventSearch } = ctx.stash;
  if (citation) runtime.earlyReturn(citation);
  const { first, last, nextToken } = eventSearch;
  if (first > last) raiseNoEvent(ctx);
  const sk = { between: [eventKey(first), eventKey(last)] };
  return query({
    query: { pk: { eq: `CONVERSATION#${conversationId}` }, sk },
    filter: /** @type {any} */ ({ id: { eq: eventId } }),
    scanIndexForward: false,
    consistentRead: true,
    ...(nextToken ? { nextToken } : {}),
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { items, nextToken } = ctx.result;
  if (items.length > 0) ctx.stash.citation = citationOf(items[0], ctx.args.index);
  if (items.length === 0 && !nextToken) raiseNoEvent(ctx);
  ctx.stash.eventSearch = { ...ctx.stash.eventSearch, nextToken };
  return null;
}

/** Citations are counted over all blocks of the event. */
function citationOf(event, index) {
  const citations = event.content.flatMap((block) => block.citations ?? []);
  if (citations.length === 0) util.error(`The event ${event.id} has no citations.`, 'NotFound');
  const requirement = `below ${citations.length + 0}, the number of the event's citations`;
  requireInput('index', index < citations.length, requirement);
  return citations[index];
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** An agent has stored no event of the id that getCitation names. */
const raiseNoEvent = (ctx) => util.error(`There is no event ${ctx.args.eventId} of an agent.`, 'NotFound');
