import { util } from '@aws-appsync/utils';

/**
 * Renews the lease of the attempt that publishes, and returns the turn's status to the handler. The condition
 * is the fence: an attempt that lost its turn changes nothing.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, run, attempt, sequence } = ctx.args.data;
  const now = util.time.nowEpochMilliSeconds();
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` }),
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

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const isStale = ctx.error?.type === 'DynamoDB:ConditionalCheckFailedException';
  if (isStale) util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  if (ctx.error) raiseTableError(ctx);
  const { contentBlockIndex, agentPartialMessage, note, continues, toolCall, event, ...update } =
    ctx.args.data;
  const { status } = ctx.result;
  const metadata = { status, contentBlockIndex, agentPartialMessage, note, continues, toolCall };
  const { conversationId, turnId } = update;
  return { ...update, metadata, event: event && { ...event, conversationId, turnId, text: textOf(event) } };
}

/**
 * The attempt is the turn's last one, and it has a live lease, or nobody else could have claimed the turn
 * yet. putAgentEvent has this condition as an object, the handler in expressions.rs; tests/effective-
 * status.json holds them to one another.
 */
const FENCE =
  '#run = :run AND attempt = :attempt AND ((leaseUntil > :now AND #status IN (:running, :cancelling)) OR (claimableUntil > :now AND #status = :running))';

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * How long a handler owns a turn after its last accepted publish. The same as LEASE in
 * handler/src/aws/dynamodb/expressions.rs.
 */
const LEASE_MILLISECONDS = 30000;

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
