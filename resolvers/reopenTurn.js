import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Opens a turn for its new run in one transaction, or nothing: what was read must still hold.
 * What a retry replaces stays, marked superseded; a turn whose work died keeps what it said.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { asked, change, closing, conversation, owner, queued, replaced, turn } = ctx.stash;
  if (asked) runtime.earlyReturn(queued);
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const [absent, gone, now] = [{ attributeExists: false }, operations.remove(), util.time.nowISO8601()];
  const lease = turn.leaseUntil ? { eq: turn.leaseUntil } : absent;
  const asRead = { run: { eq: turn.run }, attempt: { eq: turn.attempt }, status: { eq: turn.storedStatus }, leaseUntil: lease };
  const opened = { ...change, leaseUntil: gone, holder: gone, failure: gone, usage: gone };
  const busy = { eventCount: queued.lastPosition, activeTurnId: turn.id, lastActivityAt: now, listSort: `${now}#${conversation.id}` };
  const active = conversation.activeTurnId ? { eq: turn.id } : absent;
  const unchanged = { owner: { eq: owner }, eventCount: { eq: conversation.eventCount }, deletedAt: absent, activeTurnId: active };
  const isReplaced = queued.answerPosition === queued.lastPosition;
  const supersede = (position) => ({ ...at(key(position)), update: { superseded: true }, condition: { pk: { attributeExists: true } } });
  const kept = closing && { ...closing.event, ...(isReplaced ? { superseded: true } : {}) };
  return transactWrite({
    items: [
      { updateItem: { ...at(`TURN#${turn.id}`), update: opened, condition: asRead } },
      { updateItem: { ...at('META'), update: busy, condition: unchanged } },
      ...replaced.map((position) => ({ updateItem: supersede(position) })),
      ...(kept ? [{ putItem: { ...at(key(kept.position)), item: kept, condition: { pk: absent } } }] : []),
    ],
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
  return ctx.stash.queued;
}

const key = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;
