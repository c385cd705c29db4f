import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Adds to the turn its stored batches after a sequence, so that a subscriber can fill a gap. They are read
 * only where the request selects them.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { turn } = ctx.stash;
  const attempt = ctx.args.attempt ?? turn.attempt;
  const afterSequence = ctx.args.afterSequence ?? 0;
  requireInput('attempt', attempt >= 0 && attempt <= MAX_SEQUENCE, 'an attempt of the turn');
  requireInput(
    'afterSequence',
    afterSequence >= 0 && afterSequence < MAX_SEQUENCE,
    'a sequence, or 0 for all',
  );
  // selectionSetGraphQL does not resolve named fragments, so any fragment may select batches.
  const selection = ctx.info.selectionSetGraphQL;
  const isSelected = ['batches', 'hasMoreBatches', '...'].some((part) => selection.indexOf(part) >= 0);
  if (!isSelected) runtime.earlyReturn(turn);
  const sk = { between: [batchKey(attempt, afterSequence + 1), batchKey(attempt, MAX_SEQUENCE)] };
  return query({
    query: { pk: { eq: `TURN#${turn.conversationId}#${turn.id}` }, sk },
    // DynamoDB deletes expired items within days, not at once.
    filter: /** @type {any} */ ({ expiresAt: { gt: util.time.nowEpochSeconds() } }),
    consistentRead: true,
    limit: 500,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const isWaiting = ctx.stash.turn.status === 'WAITING';
  const batches = ctx.result.items.map((batch) => toBatch(batch, isWaiting));
  // The batches of an attempt expire together. A page without any would have a client ask for the same page
  // again.
  const hasMoreBatches = batches.length > 0 && ctx.result.nextToken !== null;
  return { ...ctx.stash.turn, batches, hasMoreBatches };
}

/**
 * The pending calls are only of a turn that waits: putBatch stores them before renewTurn knows whether the
 * turn is being cancelled instead.
 */
function toBatch({ attempt, sequence, text, reasoning, ...batch }, isWaiting) {
  const { status, contentBlockIndex, citations, note, noteCode, continues, toolCall, pending } = batch;
  const metadata = {
    status,
    contentBlockIndex,
    agentPartialMessage: text,
    agentPartialReasoning: reasoning,
    citations,
    note,
    noteCode,
    continues,
    toolCall,
    pending: isWaiting ? pending : undefined,
  };
  return { attempt, sequence, metadata };
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * The largest attempt or sequence that batchKey can hold. The same as MAX_SEQUENCE in
 * handler/src/aws/dynamodb/reads.rs.
 */
const MAX_SEQUENCE = 999999;

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
