import { util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Creates a conversation. The same id with the same content again returns the conversation that it created.
 * A transaction of one item, because a refused transaction is documented to return the stored item.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, title, agentId } = ctx.args.input ?? {};
  requireInput('id', isNull(id) || isId(id), ID_RULE);
  requireInput('title', !title || isUnicode(title), 'Unicode text without lone surrogates');
  requireInput('title', !title || title.length <= 200, 'at most 200 characters');
  const now = util.time.nowISO8601();
  const newId = id ?? util.autoId();
  const isListed = !isApiKey(ctx) || ctx.env.API_KEY_LISTING === 'true';
  const indexKeys = { listKey: `OWNER#${ctx.stash.userId}`, listSort: `${now}#${newId}` };
  ctx.stash.conversation = {
    id: newId,
    owner: ctx.stash.userId,
    agentId: agentId ?? 'default',
    eventCount: 0,
    createdAt: now,
    lastActivityAt: now,
    ...(title ? { title } : {}),
    ...(isListed ? indexKeys : {}),
  };
  const write = {
    ...conversationItem(ctx, newId, 'META'),
    item: ctx.stash.conversation,
    condition: { pk: { attributeExists: false } },
  };
  return transactWrite({ items: /** @type {any[]} */ ([{ putItem: write }]) });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return toOwnConversation(ctx.stash.conversation);
  const stored = ctx.result?.cancellationReasons?.[0]?.item;
  if (!stored) raiseTableError(ctx);
  const { id, title, agentId } = ctx.args.input;
  const isSame = (stored.title || null) === (title || null) && stored.agentId === (agentId ?? 'default');
  const isMine = stored.owner === ctx.stash.userId && !stored.deletedAt;
  if (!isMine || !isSame) util.error(`The id ${id} is taken.`, 'IdConflict');
  return toOwnConversation(stored);
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

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** A conversation of the caller's, as the API shows it. */
const toOwnConversation = (item) => ({ ...item, ownerId: item.owner, access: 'OWNER' });

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';
