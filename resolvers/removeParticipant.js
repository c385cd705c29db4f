import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Ends a participant's part in a conversation. Whoever has none is no error: this may be the same again.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, participant } = ctx.stash;
  if (!participant) runtime.earlyReturn(null);
  const count = conversation.participantCount ?? 0;
  const at = (sk) => ({ table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversation.id}`, sk } });
  const counted = { owner: { eq: conversation.owner }, deletedAt: { attributeExists: false }, participantCount: { eq: count } };
  const left = { participantCount: count > 1 ? count - 1 : operations.remove() };
  return transactWrite({
    items: [
      { deleteItem: { ...at(`PARTICIPANT#${participant.userId}`), condition: { pk: { attributeExists: true } } } },
      { updateItem: { ...at('META'), update: left, condition: counted } },
    ],
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.participant;
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}
