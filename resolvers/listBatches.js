import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads what was published of a turn after a sequence, so that a subscriber can fill a gap.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { turn } = ctx.stash;
  const attempt = ctx.args.attempt ?? turn.attempt;
  const after = ctx.args.afterSequence ?? 0;
  check('attempt', attempt >= 0 && attempt <= 999999, 'an attempt of the turn');
  check('afterSequence', after >= 0 && after <= 999998, 'a sequence, or 0 for all');
  // A named fragment is not written out here: it may ask for them.
  const isAsked = ['batches', 'hasMoreBatches', '...'].some((part) => ctx.info.selectionSetGraphQL.indexOf(part) >= 0);
  if (!isAsked) runtime.earlyReturn(turn);
  const prefix = `${1000000 + attempt}`.slice(1);
  const first = `${prefix}#${`${1000001 + after}`.slice(1)}`;
  return query({
    query: { pk: { eq: `TURN#${turn.conversationId}#${turn.id}` }, sk: { between: [first, `${prefix}#999999`] } },
    // Expired items stay readable until DynamoDB gets to them.
    filter: { expiresAt: { gt: util.time.nowEpochSeconds() } },
    consistentRead: true,
    limit: 500,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const batches = ctx.result.items.map(({ attempt, sequence, status, contentBlockIndex, text, note, continues }) => ({
    attempt,
    sequence,
    metadata: { status, contentBlockIndex, agentPartialMessage: text, note, continues },
  }));
  return { ...ctx.stash.turn, batches, hasMoreBatches: ctx.result.nextToken !== null };
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
