import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the question, its turn and the conversation's progress, counts the message, and closes a turn whose work died: all or nothing.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { admission, asked, closing, conversation, progress, question, queued, quotas, turn } = ctx.stash;
  if (asked) runtime.earlyReturn({});
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const is = (value) => ((value ?? null) === null ? { attributeExists: false } : { eq: value });
  const put = (sk, item) => ({ putItem: { ...at(sk), item, condition: { pk: is(null) } } });
  const { eventCount, owner } = conversation;
  const unchanged = { owner: is(owner), eventCount: is(eventCount), deletedAt: is(null), activeTurnId: is(turn?.id) };
  const goesOn = { updateItem: { ...at('META'), update: progress, condition: unchanged } };
  const said = [put(key(question), question), put(`TURN#${queued.id}`, queued), conversation.isNew ? put('META', progress) : goesOn];
  const asRead = { attempt: is(turn?.attempt), status: is(turn?.storedStatus), leaseUntil: is(turn?.leaseUntil) };
  const closed = { updateItem: { ...at(`TURN#${turn?.id}`), update: closing?.change, condition: asRead } };
  const items = [...said, ...admission, ...(closing ? [put(key(closing.event), closing.event), closed] : [])];
  return { operation: 'TransactWriteItems', transactItems: [...transactWrite({ items }).transactItems, ...quotas.map(({ item }) => item)] };
}

/** A taken id may be this very message, sent before: that is looked at, unless the caller is no longer admitted. */
export function response(ctx) {
  const { admission, conversation, queued, quotas } = ctx.stash;
  if (!ctx.error) return queued;
  const reasons = ctx.result?.cancellationReasons ?? [];
  const [turn, admitted] = [reasons[1], admission.length > 0 ? reasons[3] : null];
  const known = conversation.isNew ? admitted ?? turn : turn;
  ctx.stash.taken = failed(known) && (conversation.isNew || !failed(admitted)) ? known.item : null;
  if (ctx.stash.taken) return ctx.stash.taken;
  const exceeded = known?.type === 'None' && quotas.findLast((_, nth) => failed(reasons.slice(-quotas.length)[nth]));
  if (exceeded) util.error('Your quota is used up for now.', 'QuotaExceeded', null, { retryAt: exceeded.retryAt });
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const failed = (reason) => reason?.type.endsWith('CheckFailed');
const key = ({ position }) => `EVENT#${`${100000000 + position}`.slice(1)}`;
