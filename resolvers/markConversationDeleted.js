import { util } from '@aws-appsync/utils';

/**
 * Deletes a conversation for every reader at once. One that is marked already is marked again, so that a purge can be repeated.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id } = ctx.args;
  if (!util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id)) {
    util.error('id must be 1 to 64 of A-Z, a-z, 0-9, _ and -.', 'InvalidInput', null, { field: 'id' });
  }
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${id}`, sk: 'META' }),
    update: {
      expression: 'SET deletedAt = if_not_exists(deletedAt, :now) REMOVE listKey, listSort, activeTurnId',
      expressionValues: util.dynamodb.toMapValues({ ':now': util.time.nowISO8601() }),
    },
    condition: {
      expression: 'attribute_exists(pk) AND #owner = :owner',
      expressionNames: { '#owner': 'owner' },
      expressionValues: util.dynamodb.toMapValues({ ':owner': ctx.stash.userId }),
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return { ...ctx.result, ownerId: ctx.result.owner, access: 'OWNER' };
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') {
    console.error(ctx.error.type);
    util.error('The table did not answer. Try again.', 'TryAgain');
  }
  return util.error(`There is no conversation ${ctx.args.id}.`, 'NotFound');
}
