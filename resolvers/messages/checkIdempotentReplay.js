import { runtime, util } from '@aws-appsync/utils';
import { batchGet } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the message that has the id already, where putUserMessage was refused for it: one older than the
 * newest events, or a first message that was stored a moment ago. The same message again is a replay, which
 * returns the same turn and starts nothing: the turn has ended, or was started just now.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conflictItem, turnId } = ctx.stash;
  if (!conflictItem) runtime.earlyReturn(ctx.prev.result);
  const sortKeys = ['META', `TURN#${turnId}`, eventKey(conflictItem.questionPosition ?? 1)];
  const keys = sortKeys.map((sk) => ({ pk: `CONVERSATION#${conflictItem.conversationId}`, sk }));
  return batchGet({ tables: { [ctx.env.TABLE_NAME]: { keys, consistentRead: true } } });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const unprocessed = (ctx.result?.unprocessedKeys ?? {})[ctx.env.TABLE_NAME] ?? [];
  if (ctx.error || unprocessed.length > 0) raiseTableError(ctx);
  const [conversation, turn, message] = ctx.result.data[ctx.env.TABLE_NAME];
  const isSame = message && turn && isSameMessage(message, ctx.args.input);
  if (!isSame || !conversation || conversation.deletedAt) {
    util.error(`The id ${ctx.stash.turnId} is taken by another message.`, 'IdConflict');
  }
  ctx.stash.isReplay = true;
  ctx.stash.isStarted = true;
  ctx.stash.conversation = conversation;
  ctx.stash.question = message;
  ctx.stash.queuedTurn = withEffectiveStatus(turn, util.time.nowEpochMilliSeconds());
  return ctx.stash.queuedTurn;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Whether a message that is sent is the stored one: the same text, which replaces the same turn. */
const isSameMessage = (event, { replacesTurnId, text }) =>
  event.content.length === 1 &&
  event.content[0].text === text &&
  (event.replacesTurnId ?? null) === (replacesTurnId ?? null);

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

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
