import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a turn, with its effective status: the one asked for, the one a repeated message began, or the conversation's active one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const conversation = ctx.source ?? ctx.stash.conversation;
  const id = ctx.args.id ?? ctx.stash.asked?.turnId ?? conversation.activeTurnId;
  if ((id ?? null) === null && ctx.source) ctx.stash.isAbsent = true;
  if ((id ?? null) === null) runtime.earlyReturn({});
  if (!util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id)) {
    util.error('id must be 1 to 64 of A-Z, a-z, 0-9, _ and -.', 'InvalidInput', null, { field: 'id' });
  }
  return get({ key: { pk: `CONVERSATION#${conversation.id}`, sk: `TURN#${id}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  if (!ctx.result) return ctx.args.id ? util.error(`There is no turn ${ctx.args.id}.`, 'NotFound') : null;
  const status = effectiveStatus(ctx.result, util.time.nowEpochMilliSeconds());
  const died = ctx.result.status === 'QUEUED' ? NOT_STARTED : INTERRUPTED;
  const failure = status === 'FAILED' && ctx.result.status !== 'FAILED' ? died : ctx.result.failure;
  if (ctx.source && (status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED')) return null;
  ctx.stash.turn = { ...ctx.result, status, failure, storedStatus: ctx.result.status };
  return ctx.stash.turn;
}

const NOT_STARTED = { code: 'NOT_STARTED', message: 'The answer could not be started. Try again.', retryable: true };
const INTERRUPTED = { code: 'INTERRUPTED', message: 'The work on the answer was interrupted. Try again.', retryable: true };

// A dead lease is a dead handler: Lambda may still try again until the turn can no longer be claimed.
function effectiveStatus({ status, leaseUntil, claimableUntil }, now) {
  if (status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED' || (leaseUntil ?? 0) > now) return status;
  if (status === 'CANCELLING') return 'CANCELLED';
  return claimableUntil > now ? 'QUEUED' : 'FAILED';
}
