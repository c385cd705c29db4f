import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a turn with its effective status: the one named by the arguments, the one of a message that is stored
 * already, or the conversation's active one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const conversation = ctx.source ?? ctx.stash.conversation;
  const { existingMessage } = ctx.stash;
  const id = namedTurn(ctx) ?? existingMessage?.turnId ?? conversation.activeTurnId;
  if (isNull(id)) {
    if (ctx.source) ctx.stash.resolvesToNull = true;
    runtime.earlyReturn({});
  }
  requireInput(ctx.args.input ? 'turnId' : 'id', isId(id), ID_RULE);
  return get({ key: { pk: `CONVERSATION#${conversation.id}`, sk: `TURN#${id}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const id = namedTurn(ctx);
  if (!ctx.result && id) util.error(`There is no turn ${id}.`, 'NotFound');
  if (!ctx.result) return null;
  const turn = withEffectiveStatus(ctx.result, util.time.nowEpochMilliSeconds());
  // Conversation.activeTurn: a turn that has ended is not active.
  if (ctx.source && !isOpen(turn)) return null;
  ctx.stash.turn = turn;
  return turn;
}

/** A message that is stored already has replaced the turn that it names. */
function namedTurn(ctx) {
  const { id, input } = ctx.args;
  return id ?? input?.turnId ?? (ctx.stash.existingMessage ? null : input?.replacesTurnId);
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
 * A turn with the status that its lease, its time to be claimed and its time to be answered give it;
 * storedStatus and storedPending keep the table's. A handler whose lease is over is dead. Tested with
 * turn::effective_status in Rust against tests/effective-status.json.
 */
function withEffectiveStatus(turn, now) {
  const status = effectiveStatus(turn, now);
  const hasDied = status === 'FAILED' && turn.status !== 'FAILED';
  const failure = hasDied ? failureOfStatus(turn.status) : turn.failure;
  const pending = status === 'WAITING' ? turn.pending : undefined;
  return { ...turn, status, failure, pending, storedStatus: turn.status, storedPending: turn.pending };
}

function failureOfStatus(status) {
  if (status === 'WAITING') return PENDING_EXPIRED;
  return status === 'QUEUED' ? NOT_STARTED : INTERRUPTED;
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

/** Whether the turn has no end yet. */
const isOpen = (turn) =>
  turn.status === 'QUEUED' ||
  turn.status === 'RUNNING' ||
  turn.status === 'WAITING' ||
  turn.status === 'CANCELLING';
