import { util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the question, its turn and the conversation's progress in one transaction, or nothing: what was read must still hold.
 * A turn whose work died is closed with it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, owner, progress, question, queued, turn } = ctx.stash;
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const absent = { pk: { attributeExists: false } };
  const free = turn ? { activeTurnId: { eq: turn.id } } : { activeTurnId: { attributeExists: false } };
  const unchanged = { owner: { eq: owner }, eventCount: { eq: conversation.eventCount }, deletedAt: { attributeExists: false }, ...free };
  const died = turn && turn.status !== turn.storedStatus;
  return transactWrite({
    items: [
      { putItem: { ...at(`EVENT#${`${100000000 + question.position}`.slice(1)}`), item: question, condition: absent } },
      { putItem: { ...at(`TURN#${queued.id}`), item: queued, condition: absent } },
      conversation.isNew
        ? { putItem: { ...at('META'), item: progress, condition: absent } }
        : { updateItem: { ...at('META'), update: progress, condition: unchanged } },
      ...(died ? [{ updateItem: { ...at(`TURN#${turn.id}`), ...closing(turn) } }] : []),
    ],
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.queued;
  const failed = (ctx.result?.cancellationReasons ?? []).map(({ type }) => type.endsWith('CheckFailed'));
  if (failed[1] && !failed[0] && !failed[2]) util.error(`The id ${ctx.stash.turnId} is taken by another message.`, 'IdConflict');
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const closing = ({ status, failure, attempt, leaseUntil }) => ({
  update: { status, ...(failure ? { failure } : {}) },
  condition: { attempt: { eq: attempt }, ...(leaseUntil ? { leaseUntil: { eq: leaseUntil } } : {}) },
});
