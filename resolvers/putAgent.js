import { util } from '@aws-appsync/utils';
import { operations, update } from '@aws-appsync/utils/dynamodb';

/**
 * Makes the agent's next version the current one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, name, modelId, systemPrompt, inference, contextBytes } = ctx.args.input;
  const { expression, expressionNames, expressionValues } = update({
    key: {},
    update: {
      id,
      name: name ?? operations.remove(),
      modelId,
      systemPrompt: systemPrompt ?? operations.remove(),
      inference: inference ?? operations.remove(),
      contextBytes: contextBytes ?? 400000,
      // The default agent is listed first without an index entry.
      ...(id === 'default' ? {} : { listKey: 'AGENTS', listSort: id }),
    },
  }).update;
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `AGENT#${id}`, sk: 'META' }),
    update: {
      // ADD counts from nothing, where operations.increment would fail on a new agent.
      expression: `${expression} ADD version :one`,
      expressionNames,
      expressionValues: { ...expressionValues, ':one': util.dynamodb.toNumber(1) },
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  return ctx.result;
}
