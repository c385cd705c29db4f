import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the question, its turn and the conversation's progress in one transaction, or nothing: what was read must still hold.
 * A turn whose work died is closed with it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { asked, closing, conversation, owner, progress, question, queued, turn } = ctx.stash;
  if (asked) runtime.earlyReturn({});
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const absent = { attributeExists: false };
  const put = (sk, item) => ({ putItem: { ...at(sk), item, condition: { pk: absent } } });
  const free = { deletedAt: absent, activeTurnId: turn ? { eq: turn.id } : absent };
  const unchanged = { owner: { eq: owner }, eventCount: { eq: conversation.eventCount }, ...free };
  const goesOn = { updateItem: { ...at('META'), update: progress, condition: unchanged } };
  const items = [put(key(question), question), put(`TURN#${queued.id}`, queued), conversation.isNew ? put('META', progress) : goesOn];
  if (!closing) return transactWrite({ items });
  const lease = turn.leaseUntil ? { eq: turn.leaseUntil } : absent;
  const asRead = { attempt: { eq: turn.attempt }, status: { eq: turn.storedStatus }, leaseUntil: lease };
  const closed = { updateItem: { ...at(`TURN#${turn.id}`), update: closing.change, condition: asRead } };
  return transactWrite({ items: [...items, put(key(closing.event), closing.event), closed] });
}

/** A taken id may be this very message, sent before: that is looked at, where the conversation is the caller's. */
export function response(ctx) {
  const { conversation, owner, queued, turnId } = ctx.stash;
  if (!ctx.error) return queued;
  const [turn, meta] = (ctx.result?.cancellationReasons ?? []).slice(1);
  const isKnown = failed(meta) && meta.item?.owner === owner && !meta.item?.deletedAt;
  ctx.stash.taken = failed(turn) && (!conversation.isNew || isKnown) ? turn.item : null;
  if (ctx.stash.taken) return ctx.stash.taken;
  if (conversation.isNew && failed(meta)) util.error(`The id ${turnId} is taken.`, 'IdConflict');
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const failed = (reason) => reason?.type.endsWith('CheckFailed');
const key = ({ position }) => `EVENT#${`${100000000 + position}`.slice(1)}`;
