import { util } from '@aws-appsync/utils';

/**
 * Stores a published update under its number for a day. The same update again is success; a number never
 * changes its content. The update is stored before renewTurn checks that the attempt owns the turn, so that
 * whoever closes a turn finds all text that was published. So an update with pending calls is stored also for
 * a turn that is being cancelled; it is published as CANCELLING, and getTurn leaves the calls out.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, attempt, sequence, status, note, continues } = ctx.args.data;
  const { contentBlockIndex, agentPartialMessage, agentPartialReasoning, citations } = ctx.args.data;
  const { noteCode, toolCall, pending } = ctx.args.data;
  const citationCount = (citations ?? []).length;
  requireInput('citations', citationCount <= MAX_CITATIONS, `at most ${MAX_CITATIONS + 0}`);
  const isOfOneKind = !agentPartialMessage || !agentPartialReasoning;
  requireInput('agentPartialReasoning', isOfOneKind, 'left out where agentPartialMessage is given');
  if (status === 'WAITING' && !toolCall) validateWait(ctx.args.data);
  const index = { contentBlockIndex: contentBlockIndex ?? 0 };
  const batch = {
    conversationId,
    turnId,
    attempt,
    sequence,
    status,
    expiresAt: util.time.nowEpochSeconds() + RETENTION_SECONDS,
    ...(agentPartialMessage ? { text: agentPartialMessage, ...index } : {}),
    ...(agentPartialReasoning ? { reasoning: agentPartialReasoning, ...index } : {}),
    ...(citationCount > 0 ? { citations } : {}),
    ...(note ? { note } : {}),
    ...(noteCode ? { noteCode } : {}),
    ...(continues ? { continues } : {}),
    ...(toolCall ? { toolCall: toToolCall(toolCall) } : {}),
    ...(pending ? { pending: pending.map((call) => toToolCall(call)) } : {}),
  };
  return {
    operation: 'PutItem',
    key: util.dynamodb.toMapValues({
      pk: `TURN#${conversationId}#${turnId}`,
      sk: batchKey(attempt, sequence),
    }),
    attributeValues: util.dynamodb.toMapValues(batch),
    condition: { expression: 'attribute_not_exists(pk)', equalsIgnore: ['expiresAt'] },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.result;
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') raiseTableError(ctx);
  return util.error('This number was published with another content.', 'StaleAttempt');
}

/** The update that begins a wait has all that a later run needs. */
function validateWait({ pending, pendingPosition, agentId, agentVersion }) {
  const count = (pending ?? []).length;
  requireInput('pending', count >= 1 && count <= MAX_PENDING_CALLS, `1 to ${MAX_PENDING_CALLS + 0} calls`);
  requireInput('pendingPosition', !isNull(pendingPosition), 'given with pending');
  requireInput('agentId', !isNull(agentId), 'given with pending');
  requireInput('agentVersion', !isNull(agentVersion), 'given with pending');
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * The largest number of citations of an event or a batch. The same as MAX_EVENT_CITATIONS in
 * handler/turn/src/answer.rs.
 */
const MAX_CITATIONS = 64;

/**
 * The largest number of pending calls of a turn. The same as MAX_STEP_CALLS in
 * handler/turn/src/tool_calls.rs.
 */
const MAX_PENDING_CALLS = 32;

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

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/** A tool call as updates and turns have it, without null members, so that stored copies are equal. */
function toToolCall({ id, name, title, status, note }) {
  return { id, name, ...(title ? { title } : {}), status, ...(note ? { note } : {}) };
}
