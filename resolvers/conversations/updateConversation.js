import { util } from '@aws-appsync/utils';
import { operations, update } from '@aws-appsync/utils/dynamodb';

/**
 * Changes a conversation's title or agent. An empty title removes the title.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, title, agentId } = ctx.args.input;
  requireInput('id', isId(id), ID_RULE);
  requireInput('title', !title || isUnicode(title), 'Unicode text without lone surrogates');
  requireInput('title', !title || title.length <= 200, 'at most 200 characters');
  requireInput('input', !isNull(title) || agentId, 'a change of title or agentId');
  const titleChange = title === '' ? operations.remove() : title;
  const change = {
    ...(isNull(title) ? {} : { title: titleChange }),
    ...(agentId ? { agentId } : {}),
  };
  return update({
    key: { pk: `CONVERSATION#${id}`, sk: 'META' },
    update: change,
    condition: /** @type {any} */ ({
      owner: { eq: ctx.stash.userId },
      deletedAt: { attributeExists: false },
    }),
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return toOwnConversation(ctx.result);
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  return util.error(`There is no conversation ${ctx.args.input.id}.`, 'NotFound');
}

// Copies of helpers in resolvers/shared.js, which says why.

const ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _ and -';

/** The pattern is anchored because AWS does not document whether util.matches looks at the whole text. */
const isId = (value) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', value);

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** A conversation of the caller's, as the API shows it. */
const toOwnConversation = (item) => ({ ...item, ownerId: item.owner, access: 'OWNER' });
