import { util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Stores an event of an agent or its tools, its turn and its conversation in one transaction, on condition
 * that the attempt still owns the turn. A closing status ends the turn and frees the conversation. The same
 * event again is success.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, attempt, status } = ctx.args.data;
  const isAllowed = status !== 'QUEUED' && status !== 'CANCELLING';
  requireInput('status', isAllowed, 'RUNNING, COMPLETED, CANCELLED or FAILED');
  const { event } = ctx.args.data;
  requireInput('content', event.content.length <= MAX_EVENT_BLOCKS, `at most ${MAX_EVENT_BLOCKS + 0} blocks`);
  const areFew = event.content.every((block) => (block.citations ?? []).length <= MAX_CITATIONS);
  requireInput('citations', areFew, `at most ${MAX_CITATIONS + 0}`);
  const now = util.time.nowISO8601();
  ctx.stash.event = withText({
    ...event,
    conversationId,
    turnId,
    attempt,
    createdAt: event.createdAt ?? now,
  });
  ctx.stash.transactionItemNames = ['event', 'turn', 'conversation'];
  const items = [eventWrite(ctx), turnWrite(ctx), conversationWrite(ctx, now)];
  return transactWrite({ items: /** @type {any[]} */ (items) });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const { conversationId, turnId, attempt, sequence, status } = ctx.args.data;
  const stored = ctx.error ? reasonFor(ctx, 'event')?.item : ctx.stash.event;
  const isSame = stored && stored.id === ctx.stash.event.id && stored.attempt === attempt;
  if (!isSame) raiseRefused(ctx);
  ctx.stash.wasStoredBefore = !!ctx.error;
  return {
    conversationId,
    turnId,
    attempt,
    sequence,
    metadata: { status },
    event: { ...stored, text: textOf(stored) },
  };
}

function raiseRefused(ctx) {
  const isStale = ctx.stash.transactionItemNames.some((name) => isConditionFailed(reasonFor(ctx, name)));
  if (isStale) util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  raiseTableError(ctx);
}

function eventWrite(ctx) {
  const { event } = ctx.stash;
  const isNew = { pk: { attributeExists: false } };
  const key = conversationItem(ctx, event.conversationId, eventKey(event.position));
  return { putItem: { ...key, item: event, condition: isNew } };
}

/** The condition is the fence of renewTurn. */
function turnWrite(ctx) {
  const { conversationId, turnId, run, attempt } = ctx.args.data;
  const isFuture = { gt: util.time.nowEpochMilliSeconds() };
  const isLeased = { leaseUntil: isFuture, status: { in: ['RUNNING', 'CANCELLING'] } };
  const isClaimable = { claimableUntil: isFuture, status: { eq: 'RUNNING' } };
  return {
    updateItem: {
      ...conversationItem(ctx, conversationId, `TURN#${turnId}`),
      update: turnChange(ctx),
      condition: { run: { eq: run }, attempt: { eq: attempt }, or: [isLeased, isClaimable] },
    },
  };
}

function turnChange(ctx) {
  const { sequence, status, event } = ctx.args.data;
  const counts = {
    lastPosition: event.position,
    lastSequence: sequence,
    lastEventSequence: sequence,
    // A later attempt of the run goes on after this event.
    ...(hasToolBlocks(event) ? { runPosition: event.position } : {}),
  };
  if (status === 'RUNNING')
    return { ...counts, leaseUntil: util.time.nowEpochMilliSeconds() + LEASE_MILLISECONDS };
  const { usage, failure } = event;
  return {
    status,
    announced: true,
    ...counts,
    ...(usage ? { usage } : {}),
    ...(failure ? { failure } : {}),
    callerCredential: operations.remove(),
  };
}

const hasToolBlocks = (event) => event.content.some((block) => block.toolUse || block.toolResult);

function conversationWrite(ctx, now) {
  const { conversationId, turnId, status, event } = ctx.args.data;
  const ending = {
    lastActivityAt: now,
    listSort: `${now}#${conversationId}`,
    activeTurnId: operations.remove(),
  };
  const change = { eventCount: event.position, ...(status === 'RUNNING' ? {} : ending) };
  const condition = {
    eventCount: { eq: event.position - 1 },
    activeTurnId: { eq: turnId },
    deletedAt: { attributeExists: false },
  };
  return { updateItem: { ...conversationItem(ctx, conversationId, 'META'), update: change, condition } };
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * How long a handler owns a turn after its last accepted publish. The same as LEASE in
 * handler/src/aws/dynamodb/expressions.rs.
 */
const LEASE_MILLISECONDS = 30000;

/**
 * The largest number of content blocks of an event. The same as MAX_EVENT_BLOCKS in
 * handler/turn/src/answer.rs.
 */
const MAX_EVENT_BLOCKS = 64;

/**
 * The largest number of citations of an event or a batch. The same as MAX_EVENT_CITATIONS in
 * handler/turn/src/answer.rs.
 */
const MAX_CITATIONS = 64;

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

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

/**
 * The text of an event. It is stored where the content is not exactly one block, so that no reader loops over
 * blocks.
 */
const textOf = (event) => event.text ?? event.content[0]?.text ?? '';

/**
 * The content of an event, with its joined text where that is not the only block. At most MAX_EVENT_BLOCKS
 * blocks.
 */
function withText(event) {
  if (event.content.length <= 1) return event;
  return { ...event, text: event.content.map((block) => block.text ?? '').join('') };
}
