import { util } from '@aws-appsync/utils';
import { operations, update } from '@aws-appsync/utils/dynamodb';

/**
 * Makes the agent's next version its current one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, name, modelId, systemPrompt, inference, contextBytes, maxSteps, toolTimeoutSeconds } =
    ctx.args.input;
  const change = {
    id,
    name: name ?? operations.remove(),
    modelId,
    systemPrompt: systemPrompt ?? operations.remove(),
    inference: inference ?? operations.remove(),
    contextBytes: contextBytes ?? 400000,
    tools: ctx.stash.tools,
    maxSteps: maxSteps ?? TOOL_DEFAULTS.maxSteps,
    toolTimeoutSeconds: toolTimeoutSeconds ?? TOOL_DEFAULTS.toolTimeoutSeconds,
  };
  // listAgents returns the default agent first, so the index does not have it.
  const indexKeys = id === 'default' ? {} : { listKey: 'AGENTS', listSort: id };
  const written = update({ key: {}, update: { ...change, ...indexKeys } }).update;
  return {
    operation: 'UpdateItem',
    key: util.dynamodb.toMapValues({ pk: `AGENT#${id}`, sk: 'META' }),
    update: {
      // ADD begins at 0 where the agent is new; operations.increment would fail.
      expression: `${written.expression} ADD version :one`,
      expressionNames: written.expressionNames,
      expressionValues: { ...written.expressionValues, ':one': util.dynamodb.toNumber(1) },
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  return ctx.result;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The tool settings of an agent that was put without them, or stored before agents had tools. */
const TOOL_DEFAULTS = { tools: [], maxSteps: 10, toolTimeoutSeconds: 30 };

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
