import { runtime, util } from '@aws-appsync/utils';

/**
 * Admits a new run of a turn, which must be the conversation's last and have ended, and writes out what it changes.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, conversation, turn } = ctx.stash;
  // The turn was read after its conversation: what it has stored meanwhile does not make it an older one.
  const isLatest = turn.lastPosition >= conversation.eventCount && (conversation.activeTurnId ?? turn.id) === turn.id;
  if (!isLatest) util.error('Only the last turn of a conversation can be answered again.', 'NotLatestTurn');
  const isRetry = ctx.info.fieldName === 'retryTurn';
  if (turn.run > 1 && turn.status === 'QUEUED' && isRetry === (turn.runPosition === turn.answerPosition)) {
    ctx.stash.asked = turn;
    ctx.stash.queued = turn;
    runtime.earlyReturn({});
  }
  if (turn.status === 'QUEUED' || turn.status === 'RUNNING' || turn.status === 'CANCELLING') {
    util.error('The turn is still being answered.', 'ConversationBusy', null, { turnId: turn.id });
  }
  if (closing && !closing.isWhole) util.error('What was said is still being stored. Try again.', 'TryAgain');
  const last = closing?.event.position ?? turn.lastPosition;
  const counts = { run: turn.run + 1, attempt: turn.attempt + 1, lastSequence: 0, lastEventSequence: 0, announced: false };
  const positions = { lastPosition: last, runPosition: last, ...(isRetry ? { answerPosition: last } : {}) };
  ctx.stash.change = { status: 'QUEUED', ...counts, ...positions, claimableUntil: util.time.nowEpochMilliSeconds() + 360000 };
  const { leaseUntil, holder, failure, usage, storedStatus, ...kept } = turn;
  ctx.stash.queued = { ...kept, ...ctx.stash.change };
  // A transaction has room for 100 items.
  const newest = TENS.flatMap((tens) => ONES.map((ones) => turn.lastPosition - tens - ones));
  ctx.stash.replaced = newest.filter((position) => isRetry && position > turn.answerPosition);
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}

const TENS = [0, 10, 20, 30, 40, 50, 60, 70, 80];
const ONES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
