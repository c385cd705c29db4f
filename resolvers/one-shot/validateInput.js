import { runtime, util } from '@aws-appsync/utils';

/**
 * Refuses an input that cannot be answered, and names the turn that the caller's credential is sealed for.
 * Only the API key may ask. The schema lets IAM in as well, because a field needs a mode that every API has.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (ctx.identity) util.unauthorized();
  if (ctx.env.ONE_SHOT !== 'true') util.error('One-shot answers are switched off.', 'Disabled');
  requireText('input', ctx.args.input);
  ctx.stash.oneShot = { conversationId: util.autoId(), turnId: util.autoId() };
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
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

/** The size of a text or list in a JSON document: bytes of JSON-escaped UTF-8, without the quotes or brackets. */
function jsonSize(value) {
  const encoded = util.base64Encode(JSON.stringify(value));
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding - '""'.length;
}

/** Refuses a text that no model is asked. */
function requireText(field, text) {
  requireInput(field, text && !isBlank(text), 'more than blanks');
  requireInput(field, isUnicode(text), 'Unicode text without lone surrogates');
  requireInput(field, jsonSize(text) <= 102400, 'at most 100 KB of JSON-escaped UTF-8');
}
