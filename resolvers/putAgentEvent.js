import { util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores an agent's event under the fence of its attempt, with what it changes, in one transaction. The same again is success.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, run, attempt, status } = ctx.args.data;
  const { event, turnChange, conversationChange } = ctx.stash;
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } });
  const future = { gt: util.time.nowEpochMilliSeconds() };
  const leased = { leaseUntil: future, status: { in: ['RUNNING', 'CANCELLING'] } };
  const mine = { run: { eq: run }, attempt: { eq: attempt }, or: [leased, { claimableUntil: future, status: { eq: 'RUNNING' } }] };
  const freed = status === 'RUNNING' ? conversationChange : { ...conversationChange, activeTurnId: operations.remove() };
  const next = { eventCount: { eq: event.position - 1 }, activeTurnId: { eq: turnId }, deletedAt: { attributeExists: false } };
  return transactWrite({
    items: [
      { putItem: { ...at(key(event.position)), item: event, condition: { pk: { attributeExists: false } } } },
      { updateItem: { ...at(`TURN#${turnId}`), update: turnChange, condition: mine } },
      { updateItem: { ...at('META'), update: freed, condition: next } },
    ],
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const { conversationId, turnId, attempt, sequence, status } = ctx.args.data;
  const reasons = ctx.result?.cancellationReasons ?? [];
  const stored = ctx.error ? reasons[0]?.item : ctx.stash.event;
  const isMine = stored && stored.id === ctx.stash.event.id && stored.attempt === attempt;
  ctx.stash.wasStored = !!ctx.error;
  if (!isMine && reasons.some(({ type }) => type.endsWith('CheckFailed'))) util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  if (!isMine) console.error(ctx.error?.type);
  if (!isMine) util.error('The table did not answer. Try again.', 'TryAgain');
  const text = stored.content.map((block) => block.text ?? '').join('');
  return { conversationId, turnId, attempt, sequence, metadata: { status }, event: { ...stored, text } };
}

const key = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;
