import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the question, its turn and the conversation's progress in one transaction, or nothing: what was read must still hold, and the
 * caller still be admitted. A turn whose work died is closed with it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { admission, asked, closing, conversation, progress, question, queued, turn } = ctx.stash;
  if (asked) runtime.earlyReturn({});
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const absent = { attributeExists: false };
  const as = (value) => (value ? { eq: value } : absent);
  const put = (sk, item) => ({ putItem: { ...at(sk), item, condition: { pk: absent } } });
  const free = { deletedAt: absent, activeTurnId: as(turn?.id) };
  const unchanged = { owner: as(conversation.owner), eventCount: { eq: conversation.eventCount }, ...free };
  const goesOn = { updateItem: { ...at('META'), update: progress, condition: unchanged } };
  const asRead = turn && { attempt: { eq: turn.attempt }, status: as(turn.storedStatus), leaseUntil: as(turn.leaseUntil) };
  const closed = closing && { updateItem: { ...at(`TURN#${turn.id}`), update: closing.change, condition: asRead } };
  const said = [put(key(question), question), put(`TURN#${queued.id}`, queued), conversation.isNew ? put('META', progress) : goesOn];
  return transactWrite({ items: [...said, ...admission, ...(closed ? [put(key(closing.event), closing.event), closed] : [])] });
}

/** A taken id may be this very message, sent before: that is looked at, unless the caller is no longer admitted. */
export function response(ctx) {
  const { admission, conversation, queued } = ctx.stash;
  if (!ctx.error) return queued;
  const reasons = ctx.result?.cancellationReasons ?? [];
  const isRefused = admission.length > 0 && failed(reasons[3]);
  const taken = conversation.isNew ? isRefused && reasons[3].item : !isRefused && failed(reasons[1]) && reasons[1].item;
  ctx.stash.taken = taken || null;
  if (taken) return taken;
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const failed = (reason) => reason?.type.endsWith('CheckFailed');
const key = ({ position }) => `EVENT#${`${100000000 + position}`.slice(1)}`;
