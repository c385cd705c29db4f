import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Lets the owner share a conversation or end that, and a participant leave it; then reads the participant.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { userId, access } = ctx.args.input ?? ctx.args;
  const { conversation } = ctx.stash;
  const isLeaving = ctx.info.fieldName === 'unshareConversation' && userId === ctx.stash.userId;
  if (conversation.access !== 'OWNER' && !isLeaving)
    util.error('Only its owner shares a conversation.', 'Unauthorized');
  // API_KEY is no single user. A subscription filter compares at most 256 characters.
  const isUserId = userId.length <= 256 && util.matches('\\A[\\x20-\\x7E]+#[\\x20-\\x7E]+\\z', userId);
  requireInput('userId', isUserId, "a user's id, as getCaller tells it");
  requireInput('userId', userId !== conversation.owner, "another user's than the owner's");
  requireInput('access', access !== 'OWNER', 'WRITE or READ');
  return get({
    key: { pk: `CONVERSATION#${conversation.id}`, sk: `PARTICIPANT#${userId}` },
    consistentRead: true,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  ctx.stash.participant = ctx.result;
  return ctx.result;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
