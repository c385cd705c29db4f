import { util } from '@aws-appsync/utils';

/**
 * Marks a conversation as deleted, which hides it from every reader at once. A marked one is marked again, so
 * that its purge can be started again.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id } = ctx.args;
  requireInput('id', isId(id), ID_RULE);
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
  if (!ctx.error) return toOwnConversation(ctx.result);
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  return util.error(`There is no conversation ${ctx.args.id}.`, 'NotFound');
}

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** A conversation of the caller's, as the API shows it. */
const toOwnConversation = (item) => ({ ...item, ownerId: item.owner, access: 'OWNER' });
