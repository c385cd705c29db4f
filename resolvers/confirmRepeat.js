import { runtime, util } from '@aws-appsync/utils';
import { batchGet } from '@aws-appsync/utils/dynamodb';

/**
 * Compares a message whose id is taken with the one that took it: beyond the newest events, or in the conversation it began before.
 * The same again is its turn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { taken, turnId } = ctx.stash;
  if (!taken) runtime.earlyReturn(ctx.prev.result);
  const asked = `EVENT#${`${100000000 + (taken.questionPosition ?? 1)}`.slice(1)}`;
  const keys = ['META', `TURN#${turnId}`, asked].map((sk) => ({ pk: `CONVERSATION#${taken.conversationId}`, sk }));
  return batchGet({ tables: { [ctx.env.TABLE_NAME]: { keys, consistentRead: true } } });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const left = (ctx.result?.unprocessedKeys ?? {})[ctx.env.TABLE_NAME] ?? [];
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error || left.length > 0) util.error('The table did not answer. Try again.', 'TryAgain');
  const [conversation, turn, asked] = ctx.result.data[ctx.env.TABLE_NAME];
  const same = asked && asked.content.length === 1 && asked.content[0].text === ctx.args.input.text;
  if (!same || !turn || !conversation || conversation.deletedAt) {
    util.error(`The id ${ctx.stash.turnId} is taken by another message.`, 'IdConflict');
  }
  const status = effectiveStatus(turn, util.time.nowEpochMilliSeconds());
  const died = turn.status === 'QUEUED' ? NOT_STARTED : INTERRUPTED;
  const failure = status === 'FAILED' && turn.status !== 'FAILED' ? died : turn.failure;
  Object.assign(ctx.stash, { asked, conversation, question: asked, queued: { ...turn, status, failure } });
  return ctx.stash.queued;
}

const NOT_STARTED = { code: 'NOT_STARTED', message: 'The answer could not be started. Try again.', retryable: true };
const INTERRUPTED = { code: 'INTERRUPTED', message: 'The work on the answer was interrupted. Try again.', retryable: true };

function effectiveStatus({ status, leaseUntil, claimableUntil }, now) {
  if (status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED' || (leaseUntil ?? 0) > now) return status;
  return status === 'CANCELLING' ? 'CANCELLED' : claimableUntil > now ? 'QUEUED' : 'FAILED';
}
