import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite, update } from '@aws-appsync/utils/dynamodb';

/**
 * Queues a new run of a conversation's last turn, for retryTurn and continueTurn, and counts it as a message
 * for the quotas. A retry marks the old answer as superseded. The same order again, before it is claimed,
 * returns the queued turn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, conversation, turn } = ctx.stash;
  if (!isLatestTurn(conversation, turn))
    util.error('Only the last turn of a conversation can be answered again.', 'NotLatestTurn');
  if (isQueuedAlready(ctx)) {
    ctx.stash.queuedTurn = turn;
    return startAgain(ctx);
  }
  if (isOpen(turn)) {
    util.error('The turn is still being answered.', 'ConversationBusy', null, { turnId: turn.id });
  }
  requireRunLeft(turn);
  if (closing && !closing.isWhole) runtime.earlyReturn({});
  const change = turnChange(ctx);
  ctx.stash.queuedTurn = { ...withoutLastRun(turn), ...change };
  ctx.stash.quotas = quotaItems(ctx, ctx.stash.userId);
  const named = [
    { name: 'turn', item: turnWrite(ctx, change) },
    { name: 'conversation', item: conversationWrite(ctx) },
    { name: 'question', item: questionWrite(ctx) },
    { name: 'closingEvent', item: closing && closingEventWrite(ctx) },
    { name: 'writePermission', item: ctx.stash.writePermission },
  ].filter(({ item }) => item);
  ctx.stash.transactionItemNames = [...named, ...ctx.stash.quotas].map(({ name }) => name);
  const { transactItems } = transactWrite({ items: /** @type {any[]} */ (named.map(({ item }) => item)) });
  // The quotas add to a number that may not exist, which transactWrite's updates cannot.
  const quotaWrites = ctx.stash.quotas.map(({ item }) => item);
  return { operation: 'TransactWriteItems', transactItems: [...transactItems, ...quotaWrites] };
}

/**
 * A turn that has changed may have been queued by this same order, sent before: the caller finds that when it
 * tries again.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (ctx.stash.isReplay) return startedAgain(ctx);
  if (!ctx.error) return ctx.stash.queuedTurn;
  if (reasonFor(ctx, 'turn')?.type === 'None') raiseExceededQuota(ctx);
  return raiseLostRace(ctx);
}

/** The turn without what turnWrite removes and withEffectiveStatus has added. */
function withoutLastRun(turn) {
  const { leaseUntil, holder, failure, usage, storedStatus, storedPending, ...kept } = turn;
  const { pending, pendingUntil, pendingPosition, ...withoutCalls } = kept;
  const { agentId, agentVersion, askedBy, callerCredential, replyTo, ...withoutWait } = withoutCalls;
  return withoutWait;
}

function isQueuedAlready(ctx) {
  const { turn } = ctx.stash;
  return turn.run > 1 && turn.status === 'QUEUED' && isRetry(ctx) !== turn.continues;
}

const isRetry = (ctx) => ctx.info.fieldName === 'retryTurn';

function turnChange(ctx) {
  const { closing, turn } = ctx.stash;
  const lastPosition = closing ? closing.event.position : turn.lastPosition;
  const now = util.time.nowEpochMilliSeconds();
  return {
    status: 'QUEUED',
    run: turn.run + 1,
    // Whatever reopens a turn raises its attempt, so that no handler of an older run can end the new one.
    attempt: turn.attempt + 1,
    lastSequence: 0,
    lastEventSequence: 0,
    announced: false,
    lastPosition,
    runPosition: lastPosition,
    ...(isRetry(ctx) ? { answerPosition: lastPosition } : {}),
    continues: !isRetry(ctx),
    startedAt: now,
    claimableUntil: now + CLAIMABLE_MILLISECONDS,
    ...(ctx.stash.replyTo ? { replyTo: ctx.stash.replyTo } : {}),
  };
}

function turnWrite(ctx, change) {
  const { conversation, turn } = ctx.stash;
  const removed = operations.remove();
  const lastRun = { leaseUntil: removed, holder: removed, failure: removed, usage: removed };
  const wait = {
    pending: removed,
    pendingUntil: removed,
    pendingPosition: removed,
    agentId: removed,
    agentVersion: removed,
    askedBy: removed,
    callerCredential: removed,
    replyTo: change.replyTo ?? removed,
  };
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, `TURN#${turn.id}`),
      update: { ...change, ...lastRun, ...wait },
      condition: {
        run: unchanged(turn.run),
        attempt: unchanged(turn.attempt),
        status: unchanged(turn.storedStatus),
        leaseUntil: unchanged(turn.leaseUntil),
        lastSequence: unchanged(turn.lastSequence),
      },
    },
  };
}

function conversationWrite(ctx) {
  const { conversation, queuedTurn, turn } = ctx.stash;
  const now = util.time.nowISO8601();
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, 'META'),
      update: {
        eventCount: queuedTurn.lastPosition,
        activeTurnId: turn.id,
        lastActivityAt: now,
        listSort: `${now}#${conversation.id}`,
      },
      condition: {
        owner: unchanged(conversation.owner),
        eventCount: unchanged(conversation.eventCount),
        deletedAt: { attributeExists: false },
        activeTurnId: unchanged(conversation.activeTurnId),
      },
    },
  };
}

/**
 * A retry notes in the user's event after which position the answer begins: the agent's events of the turn up
 * to there are superseded, however many they are.
 */
function questionWrite(ctx) {
  if (!isRetry(ctx)) return null;
  const { conversation, queuedTurn } = ctx.stash;
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, eventKey(queuedTurn.questionPosition)),
      update: { answerPosition: queuedTurn.answerPosition },
      condition: { pk: { attributeExists: true } },
    },
  };
}

function closingEventWrite(ctx) {
  const { closing, conversation } = ctx.stash;
  const { event } = closing;
  return {
    putItem: {
      ...conversationItem(ctx, conversation.id, eventKey(event.position)),
      item: event,
      condition: { pk: { attributeExists: false } },
    },
  };
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

/**
 * The largest number of runs of a turn: a message starts one, and so does each retry, each continue and each
 * last answer to the calls of a wait.
 */
const MAX_RUNS = 100;

/** Refuses to start another run of a turn that has had all of them. */
function requireRunLeft(turn) {
  if (turn.run >= MAX_RUNS)
    util.error(`The turn has had ${MAX_RUNS} runs. Send a new message.`, 'TooManyRuns');
}

const isNull = (value) => value === undefined || value === null;

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
