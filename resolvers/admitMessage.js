import { runtime, util } from '@aws-appsync/utils';

/**
 * Decides on what was read: a repeated message is its turn, a busy conversation takes no other.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { asked, turn, turnId } = ctx.stash;
  const { text } = ctx.args.input;
  if (asked) {
    const same = asked.turnId === turnId && asked.content.length === 1 && asked.content[0].text === text;
    if (!same) util.error(`The id ${turnId} is taken by another message.`, 'IdConflict');
    runtime.earlyReturn({ ...turn, question: { ...asked, text } }, { skipTo: 'END' });
  }
  if (turn && (turn.status === 'QUEUED' || turn.status === 'RUNNING' || turn.status === 'CANCELLING')) {
    util.error('The conversation is still answering the last message.', 'ConversationBusy', null, { turnId: turn.id });
  }
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
