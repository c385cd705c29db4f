import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Closes a turn that Lambda would not take: FAILED, retryable, the conversation free again.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (!ctx.stash.unstarted) runtime.earlyReturn(ctx.prev.result);
  const { conversation, question, queued } = ctx.stash;
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const position = question.position + 1;
  const { conversationId, turnId } = question;
  const about = { conversationId, turnId, attempt: 0, position, createdAt: util.time.nowISO8601() };
  const sender = { kind: 'AGENT', id: ctx.stash.agent.id };
  const notice = { ...about, id: `${turnId}-0-1`, sender, content: [], failure: FAILURE };
  const freed = { eventCount: position, activeTurnId: operations.remove() };
  return transactWrite({
    items: [
      { putItem: { ...at(`EVENT#${`${100000000 + position}`.slice(1)}`), item: notice } },
      {
        updateItem: {
          ...at(`TURN#${queued.id}`),
          update: { status: 'FAILED', failure: FAILURE, lastPosition: position },
          condition: { status: { eq: 'QUEUED' }, run: { eq: queued.run } },
        },
      },
      { updateItem: { ...at('META'), update: freed, condition: { activeTurnId: { eq: turnId } } } },
    ],
  });
}

/** If it cannot be closed either, it reads as failed once it can no longer be claimed. */
export function response(ctx) {
  const lastPosition = ctx.stash.question.position + 1;
  return ctx.error ? ctx.prev.result : { ...ctx.prev.result, status: 'FAILED', failure: FAILURE, lastPosition };
}

const FAILURE = { code: 'NOT_STARTED', message: 'The answer could not be started. Try again.', retryable: true };
