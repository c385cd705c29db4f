import { runtime, util } from '@aws-appsync/utils';

/**
 * Writes out what a message brings about: the question, its turn, and the conversation that begins with it or goes on.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, owner, turnId } = ctx.stash;
  const now = util.time.nowISO8601();
  const position = conversation.eventCount + 1;
  const common = { id: turnId, conversationId: conversation.id, createdAt: now };
  const content = [{ text: ctx.args.input.text }];
  ctx.stash.question = { ...common, position, turnId, sender: { kind: 'USER' }, content };
  ctx.stash.queued = {
    ...common,
    status: 'QUEUED',
    run: 1,
    attempt: 0,
    questionPosition: position,
    lastPosition: position,
    lastSequence: 0,
    announced: false,
    // As long as Lambda keeps the invocation (300 s), and a minute more for two clocks.
    claimableUntil: util.time.nowEpochMilliSeconds() + 360000,
  };
  const listed = ctx.identity || ctx.env.API_KEY_LISTING === 'true';
  const progress = { eventCount: position, activeTurnId: turnId, lastActivityAt: now, listSort: `${now}#${conversation.id}` };
  const begun = { id: conversation.id, owner, agentId: conversation.agentId, createdAt: now };
  ctx.stash.progress = conversation.isNew ? { ...begun, ...progress, ...(listed ? { listKey: `OWNER#${owner}` } : {}) } : progress;
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
