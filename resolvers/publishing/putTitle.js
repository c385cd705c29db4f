import { util } from '@aws-appsync/utils';
import { update } from '@aws-appsync/utils/dynamodb';

/**
 * Gives a conversation the title that the handler has made, if it still has none.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, title } = ctx.args.data;
  requireInput('title', isUnicode(title), 'Unicode text without lone surrogates');
  requireInput('title', title.length <= 200, 'at most 200 characters');
  requireInput('title', !isBlank(title), 'more than blanks');
  return update({
    key: { pk: `CONVERSATION#${conversationId}`, sk: 'META' },
    update: { title },
    condition: /** @type {any} */ ({
      pk: { attributeExists: true },
      title: { attributeExists: false },
      deletedAt: { attributeExists: false },
    }),
  });
}

/**
 * Nothing is published of a title that is not stored.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { conversationId, title } = ctx.args.data;
  if (!ctx.error) return { conversationId, title };
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  return util.error('The conversation has a title by now, or is deleted.', 'StaleAttempt');
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;

/**
 * Whether a text has no visible character; a model may refuse such a text. The set is what Java, JavaScript,
 * Python or Rust counts as white space: is_blank of the crate api has the same definition.
 */
const isBlank = (text) =>
  util.matches(
    '\\A[\\x{09}-\\x{0D}\\x{1C}-\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{180E}\\x{2000}-\\x{200A}' +
      '\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}]*\\z',
    text,
  );

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
