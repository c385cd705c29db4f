import { util } from '@aws-appsync/utils';

/**
 * Renews the lease of the attempt that publishes, and returns the turn's status to the handler. The condition
 * is the fence: an attempt that lost its turn changes nothing. The update with the pending calls ends the
 * attempt: the turn waits for their answers.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { status, toolCall } = ctx.args.data;
  if (status !== 'WAITING') return renewLease(ctx);
  // putToolAnswer has stored the new state of an answered call. The turn is only read.
  if (toolCall) return { operation: 'GetItem', key: turnKey(ctx), consistentRead: true };
  return beginWait(ctx);
}

const turnKey = (ctx) => {
  const { conversationId, turnId } = ctx.args.data;
  return util.dynamodb.toMapValues({ pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` });
};

function renewLease(ctx) {
  const { run, attempt, sequence } = ctx.args.data;
  const now = util.time.nowEpochMilliSeconds();
  return {
    operation: 'UpdateItem',
    key: turnKey(ctx),
    update: {
      expression: 'SET leaseUntil = :lease, lastSequence = :sequence',
      expressionValues: util.dynamodb.toMapValues({
        ':lease': now + LEASE_MILLISECONDS,
        ':sequence': sequence,
      }),
    },
    condition: {
      expression: FENCE,
      expressionNames: { '#run': 'run', '#status': 'status' },
      expressionValues: util.dynamodb.toMapValues({
        ':run': run,
        ':attempt': attempt,
        ':now': now,
        ':running': 'RUNNING',
        ':cancelling': 'CANCELLING',
      }),
    },
  };
}

/** The same update again, before any call is answered, is success. */
function beginWait(ctx) {
  const { run, attempt, sequence, pending, pendingPosition, agentId, agentVersion, askedBy } = ctx.args.data;
  const now = util.time.nowEpochMilliSeconds();
  const change =
    'SET #status = :waiting, lastSequence = :sequence, pending = :pending, pendingUntil = :pendingUntil, ' +
    'pendingPosition = :pendingPosition, agentId = :agentId, agentVersion = :agentVersion';
  return {
    operation: 'UpdateItem',
    key: turnKey(ctx),
    update: {
      expression: isNull(askedBy)
        ? `${change} REMOVE leaseUntil, holder, askedBy`
        : `${change}, askedBy = :askedBy REMOVE leaseUntil, holder`,
      expressionNames: { '#status': 'status' },
      expressionValues: util.dynamodb.toMapValues({
        ':waiting': 'WAITING',
        ':sequence': sequence,
        ':pending': pending.map((call) => toToolCall(call)),
        ':pendingUntil': now + JSON.parse(ctx.env.PENDING_HOURS) * 3600000,
        ':pendingPosition': pendingPosition,
        ':agentId': agentId,
        ':agentVersion': agentVersion,
        ...(isNull(askedBy) ? {} : { ':askedBy': askedBy }),
      }),
    },
    condition: {
      expression: MAY_WAIT,
      expressionNames: { '#run': 'run', '#status': 'status' },
      expressionValues: util.dynamodb.toMapValues({
        ':run': run,
        ':attempt': attempt,
        ':now': now,
        ':sequence': sequence,
        ':running': 'RUNNING',
        ':waiting': 'WAITING',
      }),
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const isRefused = ctx.error?.type === 'DynamoDB:ConditionalCheckFailedException';
  if (ctx.error && !isRefused) raiseTableError(ctx);
  if (isRefused ? !isWaitOfCancelledAttempt(ctx) : isAnswerOfOtherAttempt(ctx)) {
    util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  }
  const { conversationId, turnId, attempt, sequence, event } = ctx.args.data;
  return {
    conversationId,
    turnId,
    attempt,
    sequence,
    metadata: metadataOf(ctx),
    event: event && { ...event, conversationId, turnId, text: textOf(event) },
  };
}

function metadataOf(ctx) {
  const { contentBlockIndex, agentPartialMessage, agentPartialReasoning, citations } = ctx.args.data;
  const { note, noteCode, continues, toolCall, pending } = ctx.args.data;
  const { status } = ctx.result;
  const text = { contentBlockIndex, agentPartialMessage, agentPartialReasoning, citations };
  const metadata = { status, ...text, note, noteCode, continues, toolCall };
  return status === 'WAITING' && pending ? { ...metadata, pending } : metadata;
}

/**
 * A turn that is being cancelled does not begin to wait. Its attempt reads CANCELLING and ends it. A refused
 * update returns the stored item.
 */
function isWaitOfCancelledAttempt(ctx) {
  const { run, attempt, status } = ctx.args.data;
  const turn = ctx.result;
  const isSame = turn?.run === run && turn.attempt === attempt;
  const isLeased = turn?.leaseUntil > util.time.nowEpochMilliSeconds();
  return status === 'WAITING' && isSame && isLeased && turn.status === 'CANCELLING';
}

/** Whether an answered call is of a wait that is over. */
function isAnswerOfOtherAttempt(ctx) {
  const { run, attempt, status, toolCall } = ctx.args.data;
  if (status !== 'WAITING' || !toolCall) return false;
  const turn = ctx.result;
  return turn?.run !== run || turn.attempt !== attempt || turn.status !== 'WAITING';
}

/**
 * The attempt is the turn's last one, and it has a live lease, or nobody else could have claimed the turn
 * yet. putAgentEvent has this condition as an object, the handler in expressions.rs; tests/effective-
 * status.json holds them to one another.
 */
const FENCE =
  '#run = :run AND attempt = :attempt AND ((leaseUntil > :now AND #status IN (:running, :cancelling)) OR (claimableUntil > :now AND #status = :running))';

/**
 * FENCE for a running turn, or the turn waits since this same update. An update that arrives after the
 * attempt has gone on instead of waiting begins no wait.
 */
const MAY_WAIT =
  '#run = :run AND attempt = :attempt AND ((#status = :running AND lastSequence < :sequence AND (leaseUntil > :now OR claimableUntil > :now)) OR (#status = :waiting AND lastSequence = :sequence))';

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * How long a handler owns a turn after its last accepted publish. The same as LEASE in
 * handler/src/aws/dynamodb/expressions.rs.
 */
const LEASE_MILLISECONDS = 30000;

const isNull = (value) => value === undefined || value === null;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/**
 * The text of an event. It is stored where the content is not exactly one block, so that no reader loops over
 * blocks.
 */
const textOf = (event) => event.text ?? event.content[0]?.text ?? '';

/** A tool call as updates and turns have it, without null members, so that stored copies are equal. */
function toToolCall({ id, name, title, status, note }) {
  return { id, name, ...(title ? { title } : {}), status, ...(note ? { note } : {}) };
}
