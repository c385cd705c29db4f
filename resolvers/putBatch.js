import { util } from '@aws-appsync/utils';

/**
 * Keeps what is published under a number for a day. The same again is success; a number never changes its content.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, attempt, sequence, status, contentBlockIndex, agentPartialMessage, note, continues } = ctx.args.data;
  const sk = `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;
  return {
    operation: 'PutItem',
    key: util.dynamodb.toMapValues({ pk: `TURN#${conversationId}#${turnId}`, sk }),
    attributeValues: util.dynamodb.toMapValues({
      conversationId,
      turnId,
      attempt,
      sequence,
      status,
      expiresAt: util.time.nowEpochSeconds() + 86400,
      ...(agentPartialMessage ? { text: agentPartialMessage, contentBlockIndex: contentBlockIndex ?? 0 } : {}),
      ...(note ? { note } : {}),
      ...(continues ? { continues } : {}),
    }),
    condition: { expression: 'attribute_not_exists(pk)', equalsIgnore: ['expiresAt'] },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (!ctx.error) return ctx.result;
  if (ctx.error.type !== 'DynamoDB:ConditionalCheckFailedException') {
    console.error(ctx.error.type);
    util.error('The table did not answer. Try again.', 'TryAgain');
  }
  return util.error('This number was published with another content.', 'StaleAttempt');
}
