import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Opens a turn for its new run in one transaction, or nothing: what was read must still hold, and the caller still be admitted.
 * What a retry replaces stays, marked superseded; a turn whose work died keeps what it said.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { admission, asked, change, closing, conversation, queued, replaced, turn } = ctx.stash;
  if (asked) runtime.earlyReturn(queued);
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const [absent, present, gone] = [{ attributeExists: false }, { attributeExists: true }, operations.remove()];
  const now = util.time.nowISO8601();
  const as = (value) => (value ? { eq: value } : absent);
  const asRead = { run: as(turn.run), attempt: { eq: turn.attempt }, status: as(turn.storedStatus), leaseUntil: as(turn.leaseUntil) };
  const opened = { ...change, leaseUntil: gone, holder: gone, failure: gone, usage: gone };
  const busy = { eventCount: queued.lastPosition, activeTurnId: turn.id, lastActivityAt: now, listSort: `${now}#${conversation.id}` };
  const free = { deletedAt: absent, activeTurnId: as(conversation.activeTurnId) };
  const unchanged = { owner: as(conversation.owner), eventCount: { eq: conversation.eventCount }, ...free };
  const superseded = queued.answerPosition === queued.lastPosition ? { superseded: true } : {};
  const kept = closing && { ...at(key(closing.event)), item: { ...closing.event, ...superseded }, condition: { pk: absent } };
  const items = [
    { updateItem: { ...at(`TURN#${turn.id}`), update: opened, condition: asRead } },
    { updateItem: { ...at('META'), update: busy, condition: unchanged } },
    ...replaced.map((position) => ({ updateItem: { ...at(key({ position })), update: { superseded: true }, condition: { pk: present } } })),
    ...(kept ? [{ putItem: kept }] : []),
    ...admission,
  ];
  return transactWrite({ items });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.queued;
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}

const key = ({ position }) => `EVENT#${`${100000000 + position}`.slice(1)}`;
