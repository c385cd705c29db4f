import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Ends a participant's part in a conversation. A user without one is no error, because the same request may
 * be sent again.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, participant } = ctx.stash;
  if (!participant) {
    ctx.stash.resolvesToNull = true;
    runtime.earlyReturn({});
  }
  const count = conversation.participantCount ?? 0;
  const condition = {
    owner: { eq: conversation.owner },
    deletedAt: { attributeExists: false },
    participantCount: { eq: count },
  };
  const change = { participantCount: count > 1 ? count - 1 : operations.remove() };
  return transactWrite({
    items: /** @type {any[]} */ ([
      {
        deleteItem: {
          ...conversationItem(ctx, conversation.id, `PARTICIPANT#${participant.userId}`),
          condition: { pk: { attributeExists: true } },
        },
      },
      { updateItem: { ...conversationItem(ctx, conversation.id, 'META'), update: change, condition } },
    ]),
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.participant;
  return raiseLostRace(ctx);
}

// Copies of helpers in resolvers/shared.js, which says why.

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** Somebody else wrote what the transaction was about, between its read and its write. */
function raiseLostRace(ctx) {
  console.error(ctx.error.type);
  util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}
