import { runtime, util } from '@aws-appsync/utils';

/**
 * Admits a message and writes out what it brings about: the question, its turn, and the conversation that begins with it or goes on.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { asked, closing, conversation, turn, turnId, userId, userName } = ctx.stash;
  const { text } = ctx.args.input;
  if (asked) {
    const same = asked.turnId === turnId && asked.content.length === 1 && asked.content[0].text === text;
    if (!same) util.error(`The id ${turnId} is taken by another message.`, 'IdConflict');
    ctx.stash.question = asked;
    ctx.stash.queued = turn;
    runtime.earlyReturn({});
  }
  if (turn && (turn.status === 'QUEUED' || turn.status === 'RUNNING' || turn.status === 'CANCELLING')) {
    util.error('The conversation is still answering the last message.', 'ConversationBusy', null, { turnId: turn.id });
  }
  const now = util.time.nowISO8601();
  const position = (closing?.event.position ?? conversation.eventCount) + 1;
  const common = { id: turnId, conversationId: conversation.id, createdAt: now };
  const sender = { kind: 'USER', id: ctx.identity ? userId : null, name: userName };
  ctx.stash.question = { ...common, position, turnId, sender, content: [{ text }] };
  const positions = { questionPosition: position, answerPosition: position, runPosition: position, lastPosition: position };
  const counts = { run: 1, attempt: 0, lastSequence: 0, lastEventSequence: 0 };
  // As long as Lambda keeps the invocation (300 s), and a minute more for two clocks.
  const claimableUntil = util.time.nowEpochMilliSeconds() + 360000;
  ctx.stash.queued = { ...common, status: 'QUEUED', ...counts, ...positions, announced: false, claimableUntil };
  const listed = ctx.identity || ctx.env.API_KEY_LISTING === 'true';
  const progress = { eventCount: position, activeTurnId: turnId, lastActivityAt: now, listSort: `${now}#${conversation.id}` };
  const begun = { id: conversation.id, owner: userId, agentId: conversation.agentId, createdAt: now };
  ctx.stash.progress = conversation.isNew ? { ...begun, ...progress, ...(listed ? { listKey: `OWNER#${userId}` } : {}) } : progress;
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
