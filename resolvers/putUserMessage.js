import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the question, its turn and the conversation's progress, counts the message, and closes a turn whose work died: all or nothing.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { asked, closing, conversation, owner, progress, question, queued, quotas, turn } = ctx.stash;
  if (asked) runtime.earlyReturn({});
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const is = (value) => ((value ?? null) === null ? { attributeExists: false } : { eq: value });
  const put = (sk, item) => ({ putItem: { ...at(sk), item, condition: { pk: is(null) } } });
  const unchanged = { owner: is(owner), eventCount: is(conversation.eventCount), deletedAt: is(null), activeTurnId: is(turn?.id) };
  const goesOn = { updateItem: { ...at('META'), update: progress, condition: unchanged } };
  const items = [put(key(question), question), put(`TURN#${queued.id}`, queued), conversation.isNew ? put('META', progress) : goesOn];
  const asRead = { attempt: is(turn?.attempt), status: is(turn?.storedStatus), leaseUntil: is(turn?.leaseUntil) };
  const closed = { updateItem: { ...at(`TURN#${turn?.id}`), update: closing?.change, condition: asRead } };
  if (closing) items.push(put(key(closing.event), closing.event), closed);
  return { operation: 'TransactWriteItems', transactItems: [...transactWrite({ items }).transactItems, ...quotas.map(({ item }) => item)] };
}

/** A taken id may be this very message, sent before: that is looked at, where the conversation is the caller's. */
export function response(ctx) {
  const { conversation, owner, queued, quotas, turnId } = ctx.stash;
  if (!ctx.error) return queued;
  const reasons = ctx.result?.cancellationReasons ?? [];
  const [, turn, meta] = reasons;
  const isKnown = failed(meta) && meta.item?.owner === owner && !meta.item?.deletedAt;
  ctx.stash.taken = failed(turn) && (!conversation.isNew || isKnown) ? turn.item : null;
  if (ctx.stash.taken) return ctx.stash.taken;
  if (conversation.isNew && failed(meta)) util.error(`The id ${turnId} is taken.`, 'IdConflict');
  const exceeded = turn?.type === 'None' && quotas.findLast((_, nth) => failed(reasons.slice(-quotas.length)[nth]));
  if (exceeded) util.error(`Your quota is used up until ${exceeded.retryAt}.`, 'QuotaExceeded', null, { retryAt: exceeded.retryAt });
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const failed = (reason) => reason?.type.endsWith('CheckFailed');
const key = ({ position }) => `EVENT#${`${100000000 + position}`.slice(1)}`;
