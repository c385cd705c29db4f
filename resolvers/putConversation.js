import { util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Creates a conversation; the same id with the same content again is the conversation that was created.
 * As a transaction, which is documented to say what stands in its way.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, title, agentId } = ctx.args.input ?? {};
  check('id', (id ?? null) === null || util.matches('\\A[A-Za-z0-9_-]{1,64}\\z', id), '1 to 64 of A-Z, a-z, 0-9, _ and -');
  check('title', !title || util.base64Decode(util.base64Encode(title)) === title, 'Unicode text without lone surrogates');
  check('title', !title || title.length <= 200, 'at most 200 characters');
  const now = util.time.nowISO8601();
  const drawn = id ?? util.autoId();
  const listed = ctx.identity || ctx.env.API_KEY_LISTING === 'true';
  const begun = { id: drawn, owner: ctx.stash.userId, agentId: agentId ?? 'default', eventCount: 0, createdAt: now, lastActivityAt: now };
  ctx.stash.begun = {
    ...begun,
    ...(title ? { title } : {}),
    ...(listed ? { listKey: `OWNER#${ctx.stash.userId}`, listSort: `${now}#${drawn}` } : {}),
  };
  const at = { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${drawn}`, sk: 'META' } };
  return transactWrite({ items: [{ putItem: { ...at, item: ctx.stash.begun, condition: { pk: { attributeExists: false } } } }] });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return shown(ctx.stash.begun);
  const stored = ctx.result?.cancellationReasons?.[0]?.item;
  if (!stored) console.error(ctx.error.type);
  if (!stored) util.error('The table did not answer. Try again.', 'TryAgain');
  const { id, title, agentId } = ctx.args.input;
  const same = (stored.title || null) === (title || null) && stored.agentId === (agentId ?? 'default');
  if (stored.deletedAt || stored.owner !== ctx.stash.userId || !same) util.error(`The id ${id} is taken.`, 'IdConflict');
  return shown(stored);
}

const shown = (conversation) => ({ ...conversation, ownerId: conversation.owner, access: 'OWNER' });
const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
