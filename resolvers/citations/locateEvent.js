import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the turn of an agent's event, whose id begins with the turn's: the event is among the turn's
 * positions.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, eventId, index } = ctx.args;
  requireInput(
    'eventId',
    util.matches('\\A[A-Za-z0-9_-]{1,100}\\z', eventId),
    '1 to 100 of A-Z, a-z, 0-9, _ and -',
  );
  requireInput('index', index >= 0, '0 or more');
  const turnId = turnIdOf(eventId);
  if (!isId(turnId)) raiseNoEvent(ctx);
  return get({ key: { pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  if (!ctx.result) raiseNoEvent(ctx);
  const { questionPosition, lastPosition } = ctx.result;
  ctx.stash.eventSearch = { first: questionPosition + 1, last: lastPosition };
  return null;
}

/** The turn's id, without the attempt and number, or `closed` and run, that follow it. */
const turnIdOf = (eventId) => eventId.split('-').slice(0, -2).join('-');

// Copies of helpers in resolvers/shared.js, which says why.

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** An agent has stored no event of the id that getCitation names. */
const raiseNoEvent = (ctx) => util.error(`There is no event ${ctx.args.eventId} of an agent.`, 'NotFound');
