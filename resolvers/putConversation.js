import { util } from '@aws-appsync/utils';

/**
 * Creates a conversation; the same id with the same content again is the conversation that was created.
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
  const conversation = { id: drawn, owner: ctx.stash.owner, agentId: agentId ?? 'default', eventCount: 0, createdAt: now, lastActivityAt: now };
  const attributes = {
    ...conversation,
    ...(title ? { title } : {}),
    ...(listed ? { listKey: `OWNER#${ctx.stash.owner}`, listSort: `${now}#${drawn}` } : {}),
  };
  return {
    operation: 'PutItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${drawn}`, sk: 'META' }),
    attributeValues: util.dynamodb.toMapValues(attributes),
    condition: { expression: 'attribute_not_exists(pk)' },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.result;
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') util.error('The table did not answer. Try again.', 'TryAgain');
  const { id, title, agentId } = ctx.args.input;
  const { owner, deletedAt, ...stored } = ctx.result ?? {};
  const same = (stored.title || null) === (title || null) && stored.agentId === (agentId ?? 'default');
  if (deletedAt || owner !== ctx.stash.owner || !same) util.error(`The id ${id} is taken.`, 'IdConflict');
  return ctx.result;
}

const check = (field, holds, allowed) => holds || util.error(`${field} must be ${allowed}.`, 'InvalidInput', null, { field });
