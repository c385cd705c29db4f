import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Refuses a message that cannot be sent, before anything is written, and names its turn. For a first message
 * with an id, reads which conversation the same message has begun before.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, id, replacesTurnId, text } = ctx.args.input;
  requireInput('conversationId', isNull(conversationId) || isId(conversationId), ID_RULE);
  requireInput('id', isNull(id) || isId(id), ID_RULE);
  // All callers with the API key are one user: a short id of a first message could be guessed.
  const isUnguessable = !isApiKey(ctx) || conversationId || !id || id.length >= 16;
  requireInput('id', isUnguessable, 'at least 16 characters where an API key begins a conversation');
  if (!isNull(replacesTurnId)) {
    requireInput('replacesTurnId', conversationId, 'left out without conversationId');
    requireInput('replacesTurnId', isId(replacesTurnId), ID_RULE);
    requireInput('replacesTurnId', replacesTurnId !== id, 'the id of another message');
  }
  requireText('text', text);
  ctx.stash.turnId = id ?? util.autoId();
  ctx.stash.conversationId = conversationId;
  if (conversationId) runtime.earlyReturn({});
  if (!id) {
    beginConversation(ctx);
    runtime.earlyReturn({});
  }
  return get({ key: firstMessageKey(ctx), consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const record = ctx.result;
  if (record && record.expiresAt > util.time.nowEpochSeconds()) {
    ctx.stash.conversationId = record.conversationId;
    return {};
  }
  beginConversation(ctx);
  ctx.stash.firstMessage = firstMessageWrite(ctx);
  return {};
}

function beginConversation(ctx) {
  ctx.stash.conversation = { id: util.autoId(), agentId: 'default', eventCount: 0, isNew: true };
}

const firstMessageKey = (ctx) => ({ pk: `USER#${ctx.stash.userId}`, sk: `BEGUN#${ctx.stash.turnId}` });

/**
 * A first message with an id is recorded for a day, so that the same message sent again finds its
 * conversation.
 */
function firstMessageWrite(ctx) {
  const now = util.time.nowEpochSeconds();
  return {
    putItem: {
      table: ctx.env.TABLE_NAME,
      key: firstMessageKey(ctx),
      item: {
        conversationId: ctx.stash.conversation.id,
        turnId: ctx.stash.turnId,
        expiresAt: now + RETENTION_SECONDS,
      },
      condition: { or: [{ pk: { attributeExists: false } }, { expiresAt: { le: now } }] },
    },
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** How long batches and the records of first messages are kept. */
const RETENTION_SECONDS = 86400;

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

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';
