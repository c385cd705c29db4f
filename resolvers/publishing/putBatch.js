import { util } from '@aws-appsync/utils';

/**
 * Stores a published update under its number for a day. The same update again is success; a number never
 * changes its content.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, attempt, sequence, status, note, continues } = ctx.args.data;
  const { contentBlockIndex, agentPartialMessage, toolCall } = ctx.args.data;
  const text = { text: agentPartialMessage, contentBlockIndex: contentBlockIndex ?? 0 };
  const batch = {
    conversationId,
    turnId,
    attempt,
    sequence,
    status,
    expiresAt: util.time.nowEpochSeconds() + RETENTION_SECONDS,
    ...(agentPartialMessage ? text : {}),
    ...(note ? { note } : {}),
    ...(continues ? { continues } : {}),
    ...(toolCall ? { toolCall } : {}),
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

// Copies of helpers in resolvers/shared.js, which says why.

/** How long batches and the records of first messages are kept. */
const RETENTION_SECONDS = 86400;

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
