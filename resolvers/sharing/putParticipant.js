import { runtime, util } from '@aws-appsync/utils';
import { transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Shares a conversation with a user, or changes a participant's access, and counts that as a message for the
 * quotas. The same access again changes nothing.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, participant } = ctx.stash;
  const { userId, access } = ctx.args.input;
  if (participant && participant.access === access) runtime.earlyReturn(participant);
  const count = conversation.participantCount ?? 0;
  const hasRoom = participant || count < MAX_PARTICIPANTS;
  requireInput('userId', hasRoom, 'that of a participant: a conversation has at most 50');
  ctx.stash.quotas = quotaItems(ctx, ctx.stash.userId).filter((quota) => quota.name === 'minuteQuota');
  const named = [
    { name: 'participant', item: participantWrite(ctx, userId, access) },
    { name: 'conversation', item: countWrite(ctx, participant ? count : count + 1) },
  ];
  ctx.stash.transactionItemNames = [...named, ...ctx.stash.quotas].map(({ name }) => name);
  const { transactItems } = transactWrite({ items: /** @type {any[]} */ (named.map(({ item }) => item)) });
  // The quotas add to a number that may not exist, which transactWrite's updates cannot.
  const quotaWrites = ctx.stash.quotas.map(({ item }) => item);
  return { operation: 'TransactWriteItems', transactItems: [...transactItems, ...quotaWrites] };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.stash.participant;
  if (reasonFor(ctx, 'participant')?.type === 'None') raiseExceededQuota(ctx);
  return raiseLostRace(ctx);
}

function participantWrite(ctx, userId, access) {
  const { conversation, participant } = ctx.stash;
  const now = util.time.nowISO8601();
  const item = {
    conversationId: conversation.id,
    userId,
    access,
    sharedAt: participant?.sharedAt ?? now,
    listKey: `OWNER#${userId}`,
    listSort: participant?.listSort ?? `${now}#${conversation.id}`,
  };
  ctx.stash.participant = item;
  const condition = participant
    ? { access: { eq: participant.access }, listSort: { eq: item.listSort } }
    : { pk: { attributeExists: false } };
  return { putItem: { ...conversationItem(ctx, conversation.id, `PARTICIPANT#${userId}`), item, condition } };
}

function countWrite(ctx, participantCount) {
  const { conversation } = ctx.stash;
  const condition = {
    owner: { eq: conversation.owner },
    deletedAt: { attributeExists: false },
    participantCount:
      conversation.participantCount > 0 ? { eq: conversation.participantCount } : { attributeExists: false },
  };
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, 'META'),
      update: { participantCount },
      condition,
    },
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * The largest number of participants of a conversation. The same as MAX_PARTICIPANTS in
 * handler/src/aws/dynamodb/participant_lists.rs.
 */
const MAX_PARTICIPANTS = 50;

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** Why one item of the transaction was refused, by the name that the request gave it. */
function reasonFor(ctx, name) {
  return (ctx.result?.cancellationReasons ?? [])[ctx.stash.transactionItemNames.indexOf(name)];
}

/** AppSync documents the first name; DynamoDB sends the second. */
const isConditionFailed = (reason) =>
  reason?.type === 'ConditionCheckFailed' || reason?.type === 'ConditionalCheckFailed';

/**
 * The items of a transaction that hold a user to its quotas: one counts a message of this minute, the other
 * checks the tokens of this day. An item's name is `minuteQuota` or `dayQuota`; retryAt is when the next
 * period begins. All callers with the API key are one user, so they have no quota.
 */
function quotaItems(ctx, userId) {
  if (userId === 'API_KEY') return [];
  const now = util.time.nowEpochMilliSeconds();
  const date = util.time.epochMilliSecondsToISO8601(now);
  const usageItem = (sk) => {
    const key = util.dynamodb.toMapValues({ pk: `USAGE#${userId}`, sk });
    return { table: ctx.env.TABLE_NAME, key };
  };
  const isBelow = (attribute, limit) => ({
    expression: `attribute_not_exists(${attribute}) OR ${attribute} < :limit`,
    expressionValues: util.dynamodb.toMapValues({ ':limit': JSON.parse(limit) }),
  });
  const countMessage = {
    expression: 'SET expiresAt = :expiresAt ADD messages :one',
    expressionValues: util.dynamodb.toMapValues({ ':one': 1, ':expiresAt': Math.floor(now / 1000) + 3600 }),
  };
  const nextPeriod = (length) => util.time.epochMilliSecondsToISO8601(now - (now % length) + length);
  const minuteQuota = {
    name: 'minuteQuota',
    limit: ctx.env.MESSAGES_PER_MINUTE,
    retryAt: nextPeriod(60000),
    item: {
      ...usageItem(`MINUTE#${date.slice(0, 16)}`),
      operation: 'UpdateItem',
      update: countMessage,
      condition: isBelow('messages', ctx.env.MESSAGES_PER_MINUTE),
    },
  };
  const dayQuota = {
    name: 'dayQuota',
    limit: ctx.env.TOKENS_PER_DAY,
    retryAt: nextPeriod(86400000),
    item: {
      ...usageItem(`DAY#${date.slice(0, 10)}`),
      operation: 'ConditionCheck',
      condition: isBelow('tokens', ctx.env.TOKENS_PER_DAY),
    },
  };
  return [minuteQuota, dayQuota].filter((quota) => quota.limit !== '0');
}

/**
 * Raises QuotaExceeded where a quota refused the transaction; of two, the one that lasts longer says when to
 * try again.
 */
function raiseExceededQuota(ctx) {
  const exceeded = ctx.stash.quotas.findLast((quota) => isConditionFailed(reasonFor(ctx, quota.name)));
  if (exceeded)
    util.error('Your quota is used up for now.', 'QuotaExceeded', null, { retryAt: exceeded.retryAt });
}

/** Somebody else wrote what the transaction was about, between its read and its write. */
function raiseLostRace(ctx) {
  console.error(ctx.error.type);
  util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}
