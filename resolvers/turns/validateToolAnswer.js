import { util } from '@aws-appsync/utils';
import { get, query } from '@aws-appsync/utils/dynamodb';

/**
 * Refuses an answer that no tool call takes, and reads the answer that the call may have already. Of calls
 * that do not wait, the newest with the id counts: the turn has gone on after its answer.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { toolUseId, approved, reason, result, isError } = ctx.args.input;
  requireInput('toolUseId', util.matches('\\A[A-Za-z0-9_.:-]{1,64}\\z', toolUseId), TOOL_USE_ID_RULE);
  requireInput('approved', isNull(approved) !== isNull(result), 'given, or result: exactly one of the two');
  requireInput('reason', isNull(reason) || approved === false, 'left out unless approved is false');
  requireInput('reason', isUnicode(reason ?? ''), 'Unicode text without lone surrogates');
  requireInput('reason', (reason ?? '').length <= 1000, 'at most 1,000 characters');
  requireInput('isError', isNull(isError) || !isNull(result), 'left out without a result');
  const json = isNull(result) ? null : JSON.stringify(result);
  requireInput('result', isUnicode(json ?? ''), 'Unicode text without lone surrogates');
  requireInput('result', utf8Length(json ?? '') <= 49152, 'at most 48 KB of JSON');
  ctx.stash.toolAnswer = {
    ...(isNull(approved) ? {} : { approved }),
    ...(isBlank(reason ?? '') ? {} : { reason }),
    ...(json ? { result: json } : {}),
    ...(isError ? { isError } : {}),
    answeredBy: ctx.stash.userId,
  };
  const { turn } = ctx.stash;
  if ((turn.storedPending ?? []).some(({ id }) => id === toolUseId)) {
    return get({ key: toolAnswerKey(turn, toolUseId), consistentRead: true });
  }
  const pk = { eq: `TURN#${turn.conversationId}#${turn.id}` };
  const sk = { beginsWith: `ANSWER#${toolUseId}#` };
  return query({ query: { pk, sk }, consistentRead: true, scanIndexForward: false, limit: 1 });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  ctx.stash.storedAnswer = ctx.result?.items ? ctx.result.items[0] : ctx.result;
  return {};
}

/** The ids that the handler gives to calls. */
const TOOL_USE_ID_RULE = '1 to 64 of A-Z, a-z, 0-9, _, ., : and -';

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** How many bytes a text has. */
function utf8Length(text) {
  const encoded = util.base64Encode(text);
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding;
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

/** The key of the answer to a tool call: the call's id, and the position of the event that has the call. */
function toolAnswerKey(turn, toolUseId) {
  const sk = `ANSWER#${toolUseId}#${`${100000000 + turn.pendingPosition}`.slice(1)}`;
  return { pk: `TURN#${turn.conversationId}#${turn.id}`, sk };
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
