import { runtime, util } from '@aws-appsync/utils';

/**
 * Writes out an agent's event, and what it changes in its turn and conversation: both go on, or a closing status ends and frees them.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, attempt, sequence, status, event } = ctx.args.data;
  if (status === 'QUEUED' || status === 'CANCELLING') {
    util.error('status must be RUNNING, COMPLETED, CANCELLED or FAILED.', 'InvalidInput', null, { field: 'status' });
  }
  const now = util.time.nowISO8601();
  const { position, usage, failure } = event;
  ctx.stash.event = { ...event, conversationId, turnId, attempt, createdAt: event.createdAt ?? now };
  const counts = { lastPosition: position, lastSequence: sequence, lastEventSequence: sequence };
  const isLast = status !== 'RUNNING';
  ctx.stash.turnChange = isLast
    ? { status, announced: true, ...counts, ...(usage ? { usage } : {}), ...(failure ? { failure } : {}) }
    : { ...counts, leaseUntil: util.time.nowEpochMilliSeconds() + 30000 };
  ctx.stash.conversationChange = isLast
    ? { eventCount: position, lastActivityAt: now, listSort: `${now}#${conversationId}` }
    : { eventCount: position };
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
