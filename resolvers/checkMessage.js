import { runtime, util } from '@aws-appsync/utils';

/**
 * Refuses a message that cannot be sent, before anything is read or written; names its turn and, where it begins one, the conversation.
 * Under an id of the caller's that is noted for a day: the same again finds it. With an API key all are one, and nobody must guess it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, id, text } = ctx.args.input;
  check('conversationId', (conversationId ?? null) === null || isId(conversationId), '1 to 64 of A-Z, a-z, 0-9, _ and -');
  check('id', (id ?? null) === null || isId(id), '1 to 64 of A-Z, a-z, 0-9, _ and -');
  check('id', ctx.identity || conversationId || !id || id.length >= 16, 'at least 16 characters where an API key begins a conversation');
  check('text', text && text.trim() !== '' && !util.matches('\\A[\\s\\p{Z}\\x{1C}-\\x{1F}\\x{85}]*\\z', text), 'more than blanks');
  // A lone surrogate has no UTF-8: it does not survive the way there and back.
  check('text', util.base64Decode(util.base64Encode(text)) === text, 'Unicode text without lone surrogates');
  check('text', bytes(text) <= 102400, 'at most 100 KB of JSON-escaped UTF-8');
  ctx.stash.turnId = id ?? util.autoId();
  if (conversationId) runtime.earlyReturn({});
  const now = util.time.nowEpochSeconds();
  const begun = { conversationId: util.autoId(), turnId: ctx.stash.turnId, expiresAt: now + 86400 };
  const at = { table: ctx.env.TABLE_NAME, key: { pk: `USER#${ctx.stash.userId}`, sk: `BEGUN#${id}` } };
  const condition = { or: [{ pk: { attributeExists: false } }, { expiresAt: { le: now } }] };
  ctx.stash.admission = id ? [{ putItem: { ...at, item: begun, condition } }] : [];
  ctx.stash.conversation = { id: begun.conversationId, agentId: 'default', eventCount: 0, isNew: true };
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}

const isId = (id) => util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id);
const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });

function bytes(text) {
  const encoded = util.base64Encode(JSON.stringify(text));
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding - '""'.length;
}
