import { util } from '@aws-appsync/utils';
import { operations, update } from '@aws-appsync/utils/dynamodb';

/**
 * Renames a conversation or gives it another agent; an empty title removes it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, title, agentId } = ctx.args.input;
  check('id', util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id), '1 to 64 of A-Z, a-z, 0-9, _ and -');
  check('title', !title || util.base64Decode(util.base64Encode(title)) === title, 'Unicode text without lone surrogates');
  check('title', !title || title.length <= 200, 'at most 200 characters');
  check('input', (title ?? null) !== null || agentId, 'a change of title or agentId');
  return update({
    key: { pk: `CONVERSATION#${id}`, sk: 'META' },
    update: {
      ...((title ?? null) === null ? {} : { title: title === '' ? operations.remove() : title }),
      ...(agentId ? { agentId } : {}),
    },
    condition: { owner: { eq: ctx.stash.userId }, deletedAt: { attributeExists: false } },
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return { ...ctx.result, ownerId: ctx.result.owner, access: 'OWNER' };
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') {
    console.error(ctx.error.type);
    util.error('The table did not answer. Try again.', 'TryAgain');
  }
  return util.error(`There is no conversation ${ctx.args.input.id}.`, 'NotFound');
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
