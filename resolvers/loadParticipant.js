import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Admits the owner, who shares the conversation or ends that, and a participant who leaves; and reads how it is shared so far.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { userId, access } = ctx.args.input ?? ctx.args;
  const { conversation } = ctx.stash;
  const isLeaving = ctx.info.fieldName === 'unshareConversation' && userId === ctx.stash.userId;
  if (conversation.access !== 'OWNER' && !isLeaving) util.error('Only its owner shares a conversation.', 'Unauthorized');
  // Callers with an API key are nobody in particular. A subscription's filter compares at most 256 characters.
  const isUser = userId.length <= 256 && util.matches('\\A[\\x20-\\x7E]+#[\\x20-\\x7E]+\\z', userId);
  check('userId', isUser, "a user's id, as getCaller tells it");
  check('userId', userId !== conversation.owner, "another user's than the owner's");
  check('access', access !== 'OWNER', 'WRITE or READ');
  return get({ key: { pk: `CONVERSATION#${conversation.id}`, sk: `PARTICIPANT#${userId}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  ctx.stash.participant = ctx.result;
  return ctx.result;
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
