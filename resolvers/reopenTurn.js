import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Opens a turn for its new run and counts it as a message, or nothing. What a retry replaces stays, superseded, and so does what died.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { admission, asked, change, closing, conversation, queued, quotas, replaced, turn } = ctx.stash;
  if (asked) runtime.earlyReturn(queued);
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const is = (value) => ((value ?? null) === null ? { attributeExists: false } : { eq: value });
  const [gone, now, active, stored] = [operations.remove(), util.time.nowISO8601(), is(conversation.activeTurnId), { attributeExists: true }];
  const asRead = { run: is(turn.run), attempt: is(turn.attempt), status: is(turn.storedStatus), leaseUntil: is(turn.leaseUntil) };
  const opened = { ...change, leaseUntil: gone, holder: gone, failure: gone, usage: gone };
  const busy = { eventCount: queued.lastPosition, activeTurnId: turn.id, lastActivityAt: now, listSort: `${now}#${conversation.id}` };
  const unchanged = { owner: is(conversation.owner), eventCount: is(conversation.eventCount), deletedAt: is(null), activeTurnId: active };
  const kept = closing && { ...closing.event, ...(queued.answerPosition === queued.lastPosition ? { superseded: true } : {}) };
  const items = [
    { updateItem: { ...at(`TURN#${turn.id}`), update: opened, condition: asRead } },
    { updateItem: { ...at('META'), update: busy, condition: unchanged } },
    ...replaced.map((position) => ({ updateItem: { ...at(key(position)), update: { superseded: true }, condition: { pk: stored } } })),
    ...(kept ? [{ putItem: { ...at(key(kept.position)), item: kept, condition: { pk: is(null) } } }] : []),
    ...admission,
  ];
  return { operation: 'TransactWriteItems', transactItems: [...transactWrite({ items }).transactItems, ...quotas.map(({ item }) => item)] };
}

/** A turn that has changed may have been opened by this very order, sent before: that is looked at when it is sent again. */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.queued;
  const [quotas, reasons] = [ctx.stash.quotas, ctx.result?.cancellationReasons ?? []];
  const exceeded = reasons[0]?.type === 'None' && quotas.findLast((_, nth) => isUnmet(reasons.slice(-quotas.length)[nth]));
  if (exceeded) util.error('Your quota is used up for now.', 'QuotaExceeded', null, { retryAt: exceeded.retryAt });
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const isUnmet = (reason) => reason?.type.endsWith('CheckFailed');
const key = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;
