import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a turn with its effective status: the one named by the arguments, the one of a message that is stored
 * already, or the conversation's active one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const conversation = ctx.source ?? ctx.stash.conversation;
  const id = ctx.args.id ?? ctx.stash.existingMessage?.turnId ?? conversation.activeTurnId;
  if (isNull(id)) {
    if (ctx.source) ctx.stash.resolvesToNull = true;
    runtime.earlyReturn({});
  }
  requireInput('id', isId(id), ID_RULE);
  return get({ key: { pk: `CONVERSATION#${conversation.id}`, sk: `TURN#${id}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  if (!ctx.result && ctx.args.id) util.error(`There is no turn ${ctx.args.id}.`, 'NotFound');
  if (!ctx.result) return null;
  const turn = withEffectiveStatus(ctx.result, util.time.nowEpochMilliSeconds());
  // Conversation.activeTurn: a turn that has ended is not active.
  if (ctx.source && !isAnswering(turn)) return null;
  ctx.stash.turn = turn;
  return turn;
}

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/**
 * A turn with the status that its lease and its time to be claimed give it; storedStatus keeps the table's. A
 * handler whose lease is over is dead. Tested with turn::effective_status in Rust against
 * tests/effective-status.json.
 */
function withEffectiveStatus(turn, now) {
  const status = effectiveStatus(turn, now);
  const failures = { QUEUED: NOT_STARTED, WAITING: PENDING_EXPIRED };
  const hasDied = status === 'FAILED' && turn.status !== 'FAILED';
  const failure = hasDied ? (failures[turn.status] ?? INTERRUPTED) : turn.failure;
  return { ...turn, status, failure, storedStatus: turn.status };
}

function effectiveStatus(turn, now) {
  if (turn.status === 'COMPLETED' || turn.status === 'CANCELLED' || turn.status === 'FAILED')
    return turn.status;
  if (turn.status === 'WAITING') return (turn.pendingUntil ?? 0) > now ? 'WAITING' : 'FAILED';
  if ((turn.leaseUntil ?? 0) > now) return turn.status;
  if (turn.status === 'CANCELLING') return 'CANCELLED';
  return turn.claimableUntil > now ? 'QUEUED' : 'FAILED';
}

const NOT_STARTED = {
  code: 'NOT_STARTED',
  message: 'The answer could not be started. Try again.',
  retryable: true,
};

const INTERRUPTED = {
  code: 'INTERRUPTED',
  message: 'The work on the answer was interrupted. Try again.',
  retryable: true,
};

const PENDING_EXPIRED = {
  code: 'PENDING_EXPIRED',
  message: 'Nobody answered the tool call in time.',
  retryable: true,
};

const isAnswering = (turn) =>
  turn.status === 'QUEUED' || turn.status === 'RUNNING' || turn.status === 'CANCELLING';
