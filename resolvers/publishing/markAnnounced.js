import { runtime, util } from '@aws-appsync/utils';

/**
 * Marks a turn's end as announced to subscribers, where the event was stored before this publish.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, run, attempt, status } = ctx.args.data;
  if (!ctx.stash.wasStoredBefore || status === 'RUNNING') runtime.earlyReturn(ctx.prev.result);
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` }),
    update: {
      expression: 'SET announced = :true',
      expressionValues: util.dynamodb.toMapValues({ ':true': true }),
    },
    condition: {
      expression: '#run = :run AND attempt = :attempt',
      expressionNames: { '#run': 'run' },
      expressionValues: util.dynamodb.toMapValues({ ':run': run, ':attempt': attempt }),
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  const isStale = ctx.error?.type === 'DynamoDB:ConditionalCheckFailedException';
  if (isStale) util.error('Another attempt owns the turn, or it has ended.', 'StaleAttempt');
  if (ctx.error) raiseTableError(ctx);
  return ctx.prev.result;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
