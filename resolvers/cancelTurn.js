import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Cancels a turn: a handler at work is asked to stop; where none is, the turn ends here and now, and frees its conversation.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { admission, closing, conversation, turn } = ctx.stash;
  if (turn.status !== 'RUNNING' && turn.status !== 'QUEUED') runtime.earlyReturn(turn);
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const asRead = { run: { eq: turn.run }, attempt: { eq: turn.attempt }, status: { eq: turn.storedStatus } };
  const [absent, future] = [{ attributeExists: false }, { gt: util.time.nowEpochMilliSeconds() }];
  if (turn.status === 'RUNNING') {
    const asked = { ...at(`TURN#${turn.id}`), update: { status: 'CANCELLING' }, condition: { ...asRead, leaseUntil: future } };
    return transactWrite({ items: [{ updateItem: asked }, ...admission] });
  }
  if (!closing.isWhole) util.error('What was said is still being stored. Try again.', 'TryAgain');
  const { change, event } = closing;
  const idle = { leaseUntil: turn.leaseUntil ? { eq: turn.leaseUntil } : absent, claimableUntil: future };
  const busy = { eventCount: { eq: turn.lastPosition }, activeTurnId: { eq: turn.id }, deletedAt: absent };
  const freed = { eventCount: event.position, activeTurnId: operations.remove() };
  const key = `EVENT#${`${100000000 + event.position}`.slice(1)}`;
  const ended = [
    { updateItem: { ...at(`TURN#${turn.id}`), update: change, condition: { ...asRead, ...idle } } },
    { putItem: { ...at(key), item: event, condition: { pk: absent } } },
    { updateItem: { ...at('META'), update: freed, condition: busy } },
  ];
  return transactWrite({ items: [...ended, ...admission] });
}

/** A turn that has ended meanwhile, or was cancelled by another, stays as it is. */
export function response(ctx) {
  if (!ctx.error) return { ...ctx.stash.turn, status: 'CANCELLING', ...ctx.stash.closing?.change };
  const stored = ctx.result?.cancellationReasons?.[0]?.item;
  if (stored && stored.status !== 'QUEUED' && stored.status !== 'RUNNING') return stored;
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the turn just now. Try again.', 'TryAgain');
}
