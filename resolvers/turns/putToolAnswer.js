import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite, update } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the answer to a pending tool call. The last answer of a turn queues its next run; an earlier one
 * stores the call's new state as an update, which the handler publishes. The sealed credential of the user
 * who asked is kept for that run, because somebody else may answer last. The run needs tokens of the user who
 * asked, so the last answer checks that user's quota of the day. The same answer again returns the turn.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { storedAnswer, turn } = ctx.stash;
  const calls = turn.pending ?? [];
  const call = calls.find(({ id }) => id === ctx.args.input.toolUseId);
  const isPending = call && needsAnswer(call);
  if (storedAnswer) requireSameAnswer(ctx, storedAnswer);
  // A turn whose call is still pending was read before the answer was stored. The transaction finds it.
  if (storedAnswer && !isPending) {
    ctx.stash.queuedTurn = turn;
    return startAgain(ctx);
  }
  if (!isPending) return raiseNotPending(ctx);
  requireFittingAnswer(ctx, call);
  requireRunLeft(turn);
  const answeredCall = toAnsweredCall(ctx, call);
  const pending = calls.map((other) => (other.id === call.id ? answeredCall : other));
  const isLast = !pending.some((other) => needsAnswer(other));
  const change = {
    ...(isLast ? nextRun(turn) : { pending, lastSequence: turn.lastSequence + 1 }),
    ...credentialChange(ctx),
    ...replyToChange(ctx),
  };
  ctx.stash.queuedTurn = { ...turn, pending: undefined, ...change };
  if (!isLast) ctx.stash.toolCallUpdate = toolCallUpdate(ctx, answeredCall);
  const named = [
    { name: 'turn', item: turnWrite(ctx, change, isLast) },
    { name: 'answer', item: answerWrite(ctx) },
    { name: 'conversation', item: conversationWrite(ctx) },
    { name: 'batch', item: isLast ? null : batchWrite(ctx) },
    { name: 'writePermission', item: ctx.stash.writePermission },
  ].filter(({ item }) => item);
  ctx.stash.quotas = isLast ? dayQuota(ctx) : [];
  ctx.stash.transactionItemNames = [...named, ...ctx.stash.quotas].map(({ name }) => name);
  const { transactItems } = transactWrite({ items: /** @type {any[]} */ (named.map(({ item }) => item)) });
  const quotaWrites = ctx.stash.quotas.map(({ item }) => item);
  return { operation: 'TransactWriteItems', transactItems: [...transactItems, ...quotaWrites] };
}

/**
 * The same answer may have been stored by another request in the meantime; that request starts what follows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (ctx.stash.isReplay) return startedAgain(ctx);
  if (!ctx.error) return ctx.stash.queuedTurn;
  if (reasonFor(ctx, 'turn')?.type === 'None') raiseExceededQuota(ctx);
  const answer = reasonFor(ctx, 'answer');
  const lostPermission = isConditionFailed(reasonFor(ctx, 'writePermission'));
  if (!isConditionFailed(answer) || lostPermission) raiseLostRace(ctx);
  requireSameAnswer(ctx, answer.item);
  ctx.stash.isReplay = true;
  ctx.stash.isStarted = true;
  return ctx.stash.queuedTurn;
}

/** A credential that could not be sealed does not replace one that an earlier answer brought. */
function credentialChange(ctx) {
  const { callerCredential, turn } = ctx.stash;
  const isWorse = !callerCredential?.sealed && turn.callerCredential?.sealed;
  return callerCredential && !isWorse ? { callerCredential } : {};
}

/** The next run is for the user who asked, so nobody else says where its updates go besides. */
function replyToChange(ctx) {
  const { replyTo, turn, userId } = ctx.stash;
  return replyTo && userId === askerOf(turn) ? { replyTo } : {};
}

/** Only messages, retries and continues count as messages, so the quota of the minute is left out. */
function dayQuota(ctx) {
  const quotas = quotaItems(ctx, askerOf(ctx.stash.turn));
  return quotas.filter(({ name }) => name === 'dayQuota');
}

/** The user for whom the turn runs. */
const askerOf = (turn) => turn.askedBy ?? 'API_KEY';

function raiseNotPending(ctx) {
  return util.error(`The tool call ${ctx.args.input.toolUseId} does not wait for an answer.`, 'NotPending');
}

function requireSameAnswer(ctx, stored) {
  const { toolAnswer } = ctx.stash;
  const members = ['approved', 'reason', 'result', 'isError', 'answeredBy'];
  const isSame = members.every((name) => (stored[name] ?? null) === (toolAnswer[name] ?? null));
  if (isSame) return;
  const { toolUseId } = ctx.args.input;
  util.error(`The tool call ${toolUseId} has been answered already.`, 'ToolCallAnswered');
}

function requireFittingAnswer(ctx, call) {
  const { approved, result } = ctx.stash.toolAnswer;
  if (call.status === 'CLIENT_NEEDED') {
    requireInput('approved', approved !== true, 'left out: a client runs this tool and returns its result');
  } else {
    requireInput('result', isNull(result), 'left out: this call waits for an approval');
  }
  if (approved !== false) requireAsker(ctx);
}

/**
 * A tool runs as the user who asked for the answer: by the message, a retry or a continue. Nobody else lets a
 * call run or gives its result.
 */
function requireAsker(ctx) {
  const { turn, userId } = ctx.stash;
  if (userId !== askerOf(turn)) {
    const message = 'Only the user for whom this turn runs may approve this call or give its result.';
    util.error(message, 'Unauthorized');
  }
}

function toAnsweredCall(ctx, call) {
  const { approved, reason } = ctx.stash.toolAnswer;
  return toToolCall({ ...call, status: approved === false ? 'DENIED' : 'RUNNING', note: reason });
}

/** The run goes on where the answer stands, as after a continue. */
function nextRun(turn) {
  const now = util.time.nowEpochMilliSeconds();
  return {
    status: 'QUEUED',
    run: turn.run + 1,
    // Whatever reopens a turn raises its attempt, so that no handler of an older run can end the new one.
    attempt: turn.attempt + 1,
    lastSequence: 0,
    lastEventSequence: 0,
    continues: true,
    startedAt: now,
    claimableUntil: now + CLAIMABLE_MILLISECONDS,
  };
}

/** The order to publish the new state of a call while others still wait. */
function toolCallUpdate(ctx, toolCall) {
  const { turn } = ctx.stash;
  return {
    type: 'publishToolCall',
    conversationId: turn.conversationId,
    turnId: turn.id,
    run: turn.run,
    attempt: turn.attempt,
    sequence: turn.lastSequence + 1,
    toolCall,
  };
}

function turnWrite(ctx, change, isLast) {
  const { conversation, turn } = ctx.stash;
  const removed = operations.remove();
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, `TURN#${turn.id}`),
      update: isLast ? { ...change, pending: removed, pendingUntil: removed } : change,
      condition: {
        run: { eq: turn.run },
        attempt: { eq: turn.attempt },
        status: { eq: 'WAITING' },
        // Each answer raises the sequence, so the other calls are as they were read.
        lastSequence: { eq: turn.lastSequence },
        pendingUntil: { gt: util.time.nowEpochMilliSeconds() },
      },
    },
  };
}

/**
 * The handler reads the answer when it runs the call. An approval counts for the version of the agent that
 * made the call. The answer is kept for a day after the wait.
 */
function answerWrite(ctx) {
  const { toolAnswer, turn } = ctx.stash;
  return {
    putItem: {
      table: ctx.env.TABLE_NAME,
      key: toolAnswerKey(turn, ctx.args.input.toolUseId),
      item: {
        ...toolAnswer,
        agentId: turn.agentId,
        agentVersion: turn.agentVersion,
        expiresAt: Math.ceil(turn.pendingUntil / 1000) + RETENTION_SECONDS,
      },
      condition: { pk: { attributeExists: false } },
    },
  };
}

function conversationWrite(ctx) {
  const { conversation, turn } = ctx.stash;
  const now = util.time.nowISO8601();
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, 'META'),
      update: { lastActivityAt: now, listSort: `${now}#${conversation.id}` },
      condition: {
        owner: unchanged(conversation.owner),
        deletedAt: { attributeExists: false },
        activeTurnId: { eq: turn.id },
      },
    },
  };
}

/**
 * The update as putBatch stores it, so that getTurn has it at once. The turn's condition keeps its number for
 * this answer alone.
 */
function batchWrite(ctx) {
  const { type, run, ...batch } = ctx.stash.toolCallUpdate;
  const { conversationId, turnId, attempt, sequence } = batch;
  return {
    putItem: {
      table: ctx.env.TABLE_NAME,
      key: { pk: `TURN#${conversationId}#${turnId}`, sk: batchKey(attempt, sequence) },
      item: { ...batch, status: 'WAITING', expiresAt: util.time.nowEpochSeconds() + RETENTION_SECONDS },
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

/** How long batches and the records of first messages are kept. */
const RETENTION_SECONDS = 86400;

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

const isNull = (value) => value === undefined || value === null;

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** The key of the answer to a tool call: the call's id, and the position of the event that has the call. */
function toolAnswerKey(turn, toolUseId) {
  const sk = `ANSWER#${toolUseId}#${`${100000000 + turn.pendingPosition}`.slice(1)}`;
  return { pk: `TURN#${turn.conversationId}#${turn.id}`, sk };
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

/** Whether a tool call waits for the answer of a user or a client. */
const needsAnswer = (call) => call.status === 'APPROVAL_NEEDED' || call.status === 'CLIENT_NEEDED';

/** A tool call as updates and turns have it, without null members, so that stored copies are equal. */
function toToolCall({ id, name, title, status, note }) {
  return { id, name, ...(title ? { title } : {}), status, ...(note ? { note } : {}) };
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
