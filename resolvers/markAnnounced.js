import { runtime, util } from '@aws-appsync/utils';

/**
 * Notes that subscribers have been told how a turn ended, where that was stored before it was published.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, turnId, run, attempt, status } = ctx.args.data;
  if (!ctx.stash.wasStored || status === 'RUNNING') runtime.earlyReturn(ctx.prev.result);
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `CONVERSATION#${conversationId}`, sk: `TURN#${turnId}` }),
    update: { expression: 'SET announced = :true', expressionValues: util.dynamodb.toMapValues({ ':true': true }) },
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
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  return ctx.prev.result;
}
