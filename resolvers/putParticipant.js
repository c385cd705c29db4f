import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Shares a conversation with one more user, or changes a participant's access, and counts that as a message. The same again is success.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, participant, quotas } = ctx.stash;
  const { conversationId, userId, access } = ctx.args.input;
  const count = conversation.participantCount ?? 0;
  if (participant && participant.access === access) runtime.earlyReturn(participant);
  if (!participant && count >= 50) {
    util.error('userId must be that of a participant: a conversation has at most 50.', 'InvalidInput', null, { field: 'userId' });
  }
  const now = util.time.nowISO8601();
  const listed = { listKey: `OWNER#${userId}`, listSort: participant?.listSort ?? `${now}#${conversationId}` };
  ctx.stash.participant = { conversationId, userId, access, sharedAt: participant?.sharedAt ?? now, ...listed };
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } });
  const absent = { attributeExists: false };
  const asRead = participant ? { access: { eq: participant.access }, listSort: { eq: listed.listSort } } : { pk: absent };
  const counted = { owner: { eq: conversation.owner }, deletedAt: absent, participantCount: count > 0 ? { eq: count } : absent };
  const items = [
    { putItem: { ...at(`PARTICIPANT#${userId}`), item: ctx.stash.participant, condition: asRead } },
    { updateItem: { ...at('META'), update: { participantCount: participant ? count : count + 1 }, condition: counted } },
  ];
  const minute = quotas.map(({ item }) => item).filter(({ operation }) => operation === 'UpdateItem');
  return { operation: 'TransactWriteItems', transactItems: [...transactWrite({ items }).transactItems, ...minute] };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.participant;
  const reasons = ctx.result?.cancellationReasons ?? [];
  const isExceeded = reasons[0]?.type === 'None' && reasons[2]?.type.endsWith('CheckFailed');
  if (isExceeded) util.error('Your quota is used up for now.', 'QuotaExceeded', null, { retryAt: ctx.stash.quotas[0].retryAt });
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}
