import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite, update } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the user's message, its queued turn and the conversation in one transaction, counts the message for
 * the quotas, and closes a turn whose handler died or that waits to be answered. A message that replaces the
 * last turn marks it as superseded. A message that is stored already returns its turn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, conversation, existingMessage, turn } = ctx.stash;
  if (existingMessage) {
    requireSameMessage(ctx);
    ctx.stash.question = existingMessage;
    ctx.stash.queuedTurn = turn;
    return startAgain(ctx);
  }
  if (ctx.args.input.replacesTurnId) requireReplaceable(ctx);
  if (turn && isOpen(turn) && turn.status !== 'WAITING') {
    const info = { turnId: turn.id };
    util.error('The conversation is still answering the last message.', 'ConversationBusy', null, info);
  }
  if (closing && !closing.isWhole) runtime.earlyReturn({});
  const now = util.time.nowISO8601();
  const position = (closing ? closing.event.position : conversation.eventCount) + 1;
  ctx.stash.question = questionAt(ctx, position, now);
  ctx.stash.queuedTurn = queuedTurnAt(ctx, position, now);
  ctx.stash.quotas = quotaItems(ctx, ctx.stash.userId);
  const named = [
    { name: 'question', item: putNew(ctx, eventKey(position), ctx.stash.question) },
    { name: 'turn', item: putNew(ctx, `TURN#${ctx.stash.turnId}`, ctx.stash.queuedTurn) },
    { name: 'conversation', item: conversationWrite(ctx, position, now) },
    { name: 'writePermission', item: ctx.stash.writePermission },
    { name: 'firstMessage', item: ctx.stash.firstMessage },
    ...lastTurnWrites(ctx),
  ].filter(({ item }) => item);
  ctx.stash.transactionItemNames = [...named, ...ctx.stash.quotas].map(({ name }) => name);
  const { transactItems } = transactWrite({ items: /** @type {any[]} */ (named.map(({ item }) => item)) });
  // The quotas add to a number that may not exist, which transactWrite's updates cannot.
  const quotaWrites = ctx.stash.quotas.map(({ item }) => item);
  return { operation: 'TransactWriteItems', transactItems: [...transactItems, ...quotaWrites] };
}

/**
 * Where the turn's id is taken, checkIdempotentReplay compares the stored message with this one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (ctx.stash.isReplay) return startedAgain(ctx);
  if (!ctx.error) return ctx.stash.queuedTurn;
  const isNew = ctx.stash.conversation.isNew;
  const idReason = (isNew && reasonFor(ctx, 'firstMessage')) || reasonFor(ctx, 'turn');
  const lostPermission = isConditionFailed(reasonFor(ctx, 'writePermission'));
  if (isConditionFailed(idReason) && !lostPermission) {
    ctx.stash.conflictItem = idReason.item;
    return idReason.item;
  }
  if (idReason?.type === 'None') raiseExceededQuota(ctx);
  return raiseLostRace(ctx);
}

function requireSameMessage(ctx) {
  const { existingMessage, turnId } = ctx.stash;
  const isSame = existingMessage.turnId === turnId && isSameMessage(existingMessage, ctx.args.input);
  if (!isSame) util.error(`The id ${turnId} is taken by another message.`, 'IdConflict');
}

/**
 * Refuses to replace another turn than the last one. A turn that this same message has replaced before leads
 * to the stored message, which follows the turn's last event.
 */
function requireReplaceable(ctx) {
  const { conversation, turn, turnId } = ctx.stash;
  if (turn.replacedBy === turnId) {
    ctx.stash.conflictItem = { conversationId: conversation.id, questionPosition: turn.lastPosition + 1 };
    runtime.earlyReturn(ctx.stash.conflictItem);
  }
  if (!isLatestTurn(conversation, turn))
    util.error('Only the last message of a conversation can be replaced.', 'NotLatestTurn');
}

function questionAt(ctx, position, now) {
  const { conversation, turnId, userId, userName } = ctx.stash;
  const { replacesTurnId, text } = ctx.args.input;
  return {
    id: turnId,
    conversationId: conversation.id,
    createdAt: now,
    position,
    turnId,
    sender: { kind: 'USER', id: isApiKey(ctx) ? null : userId, name: userName },
    content: [{ text }],
    ...(replacesTurnId ? { replacesTurnId } : {}),
  };
}

function queuedTurnAt(ctx, position, now) {
  const startedAt = util.time.nowEpochMilliSeconds();
  const { conversation, replyTo, turnId } = ctx.stash;
  return {
    id: turnId,
    conversationId: conversation.id,
    createdAt: now,
    status: 'QUEUED',
    run: 1,
    attempt: 0,
    lastSequence: 0,
    lastEventSequence: 0,
    questionPosition: position,
    answerPosition: position,
    runPosition: position,
    lastPosition: position,
    announced: false,
    ...(replyTo ? { replyTo } : {}),
    startedAt,
    claimableUntil: startedAt + CLAIMABLE_MILLISECONDS,
  };
}

function conversationWrite(ctx, position, now) {
  const { conversation, turnId, userId } = ctx.stash;
  const change = {
    eventCount: position,
    activeTurnId: turnId,
    lastActivityAt: now,
    listSort: `${now}#${conversation.id}`,
  };
  if (!conversation.isNew) {
    const asRead = {
      owner: unchanged(conversation.owner),
      eventCount: unchanged(conversation.eventCount),
      deletedAt: { attributeExists: false },
      activeTurnId: unchanged(conversation.activeTurnId),
    };
    return {
      updateItem: { ...conversationItem(ctx, conversation.id, 'META'), update: change, condition: asRead },
    };
  }
  const isListed = !isApiKey(ctx) || ctx.env.API_KEY_LISTING === 'true';
  const created = {
    id: conversation.id,
    owner: userId,
    agentId: conversation.agentId,
    createdAt: now,
    ...change,
  };
  return putNew(ctx, 'META', isListed ? { ...created, listKey: `OWNER#${userId}` } : created);
}

/**
 * The writes that close the last turn (an event with the published text or with the results of the calls that
 * waited, and the turn's end), and those that mark a replaced turn: its question and the turn say that all
 * events of the turn are superseded, however many they are.
 */
function lastTurnWrites(ctx) {
  const { closing, conversation, turn, turnId } = ctx.stash;
  const { replacesTurnId } = ctx.args.input;
  if (!closing && !replacesTurnId) return [];
  const asRead = {
    attempt: unchanged(turn.attempt),
    status: unchanged(turn.storedStatus),
    leaseUntil: unchanged(turn.leaseUntil),
    // An answer to a call raises the sequence.
    lastSequence: unchanged(turn.lastSequence),
  };
  const removed = operations.remove();
  const wait = { pending: removed, pendingUntil: removed, callerCredential: removed };
  const change = {
    ...(closing ? { ...closing.turnChange, ...wait } : {}),
    ...(replacesTurnId ? { replacedBy: turnId } : {}),
  };
  const turnItem = conversationItem(ctx, conversation.id, `TURN#${turn.id}`);
  const questionItem = conversationItem(ctx, conversation.id, eventKey(turn.questionPosition));
  const exists = { pk: { attributeExists: true } };
  const replacedQuestion = { ...questionItem, update: { superseded: true }, condition: exists };
  return [
    { name: 'closingEvent', item: closing && putNew(ctx, eventKey(closing.event.position), closing.event) },
    { name: 'lastTurn', item: { updateItem: { ...turnItem, update: change, condition: asRead } } },
    { name: 'replacedQuestion', item: replacesTurnId ? { updateItem: replacedQuestion } : null },
  ];
}

function putNew(ctx, sk, item) {
  const isNew = { pk: { attributeExists: false } };
  return { putItem: { ...conversationItem(ctx, ctx.stash.conversation.id, sk), item, condition: isNew } };
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * How long a queued run may be claimed: the 300 s for which Lambda keeps an event (MaximumEventAgeInSeconds
 * in template.yaml), and 60 s for two clocks that differ.
 */
const CLAIMABLE_MILLISECONDS = 360000;

/**
 * A run that was started this short a time ago is not started again. Lambda retries a failed invocation after
 * a minute.
 */
const START_INTERVAL_MILLISECONDS = 60000;

const isNull = (value) => value === undefined || value === null;

/** Whether a message that is sent is the stored one: the same text, which replaces the same turn. */
const isSameMessage = (event, { replacesTurnId, text }) =>
  event.content.length === 1 &&
  event.content[0].text === text &&
  (event.replacesTurnId ?? null) === (replacesTurnId ?? null);

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** A condition: the attribute is as it was read, also where it was not there. */
const unchanged = (value) => (isNull(value) ? { attributeExists: false } : { eq: value });

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** Why one item of the transaction was refused, by the name that the request gave it. */
function reasonFor(ctx, name) {
  return (ctx.result?.cancellationReasons ?? [])[ctx.stash.transactionItemNames.indexOf(name)];
}

/** AppSync documents the first name; DynamoDB sends the second. */
const isConditionFailed = (reason) =>
  reason?.type === 'ConditionCheckFailed' || reason?.type === 'ConditionalCheckFailed';

/** Whether the turn has no end yet. */
const isOpen = (turn) =>
  turn.status === 'QUEUED' ||
  turn.status === 'RUNNING' ||
  turn.status === 'WAITING' ||
  turn.status === 'CANCELLING';

/**
 * Whether the turn is the conversation's last one. The conversation was read before the turn, so the turn may
 * have stored more events than the conversation counted then.
 */
function isLatestTurn(conversation, turn) {
  const isOtherActive = !isNull(conversation.activeTurnId) && conversation.activeTurnId !== turn.id;
  return turn.lastPosition >= conversation.eventCount && !isOtherActive;
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';

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

/**
 * The order to start a queued turn again, which was lost or is still under way. It starts the turn only where
 * the last start is a while ago and no other request does so at the same time.
 */
function startAgain(ctx) {
  const { conversation, queuedTurn } = ctx.stash;
  const now = util.time.nowEpochMilliSeconds();
  ctx.stash.isReplay = true;
  const startedAt = queuedTurn.startedAt ?? 0;
  ctx.stash.isStarted = queuedTurn.status !== 'QUEUED' || now < startedAt + START_INTERVAL_MILLISECONDS;
  if (ctx.stash.isStarted) runtime.earlyReturn(queuedTurn);
  ctx.stash.queuedTurn = { ...queuedTurn, startedAt: now };
  return update({
    key: { pk: `CONVERSATION#${conversation.id}`, sk: `TURN#${queuedTurn.id}` },
    update: { startedAt: now },
    condition: /** @type {any} */ ({
      run: { eq: queuedTurn.run },
      startedAt: unchanged(queuedTurn.startedAt),
    }),
  });
}

/** The result of startAgain: where another request has started the turn, this one does not. */
function startedAgain(ctx) {
  if (ctx.error && ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  ctx.stash.isStarted = !!ctx.error;
  return ctx.stash.queuedTurn;
}

/** Somebody else wrote what the transaction was about, between its read and its write. */
function raiseLostRace(ctx) {
  console.error(ctx.error.type);
  util.error('Somebody else wrote to the conversation just now. Try again.', 'TryAgain');
}
