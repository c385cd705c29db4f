import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Closes a turn that Lambda would not take: FAILED, retryable, the conversation free again. Of a repeated message it is left alone,
 * since it may have been taken before.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agent, asked, conversation, queued, unstarted } = ctx.stash;
  if (!unstarted) runtime.earlyReturn(ctx.prev.result);
  if (asked) util.error(FAILURE.message, 'TryAgain');
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const { id, run, attempt } = queued;
  const position = queued.lastPosition + 1;
  const about = { id: `${id}-closed-${run}`, conversationId: conversation.id, turnId: id, attempt, position };
  const said = { sender: { kind: 'AGENT', id: agent.id }, content: [], failure: FAILURE };
  const notice = { ...about, ...said, createdAt: util.time.nowISO8601() };
  ctx.stash.change = { status: 'FAILED', failure: FAILURE, lastPosition: position, lastSequence: 1, lastEventSequence: 1 };
  const untouched = { status: { eq: 'QUEUED' }, run: { eq: run }, attempt: { eq: attempt } };
  const busy = { eventCount: { eq: queued.lastPosition }, activeTurnId: { eq: id }, deletedAt: { attributeExists: false } };
  const freed = { eventCount: position, activeTurnId: operations.remove() };
  const key = `EVENT#${`${100000000 + position}`.slice(1)}`;
  return transactWrite({
    items: [
      { putItem: { ...at(key), item: notice, condition: { pk: { attributeExists: false } } } },
      { updateItem: { ...at(`TURN#${id}`), update: ctx.stash.change, condition: untouched } },
      { updateItem: { ...at('META'), update: freed, condition: busy } },
    ],
  });
}

/** If it cannot be closed either, it reads as failed once it can no longer be claimed. */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  return ctx.error ? ctx.prev.result : { ...ctx.prev.result, ...ctx.stash.change };
}

const FAILURE = { code: 'NOT_STARTED', message: 'The answer could not be started. Try again.', retryable: true };
