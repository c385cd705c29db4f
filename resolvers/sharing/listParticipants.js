import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the users with whom a conversation is shared.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, participantCount } = ctx.source;
  if (!participantCount) runtime.earlyReturn([]);
  return query({
    query: { pk: { eq: `CONVERSATION#${id}` }, sk: { beginsWith: 'PARTICIPANT#' } },
    consistentRead: true,
    limit: MAX_PARTICIPANTS,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  return ctx.result.items;
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * The largest number of participants of a conversation. The same as MAX_PARTICIPANTS in
 * handler/src/aws/dynamodb/participant_lists.rs.
 */
const MAX_PARTICIPANTS = 50;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
