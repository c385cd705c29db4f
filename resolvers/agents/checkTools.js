import { runtime, util } from '@aws-appsync/utils';

/**
 * Asks the handler whether it accepts the agent's tools: their schemas, and whether the deployment allows
 * their functions. An agent without tools needs no check.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { tools } = ctx.stash;
  if (tools.length === 0) runtime.earlyReturn({});
  return {
    operation: 'Invoke',
    invocationType: 'RequestResponse',
    payload: { type: 'checkTools', tools },
  };
}

/**
 * The handler returns what it refuses, in the order of the tools. A message is a sentence.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const refusals = ctx.result?.refusals;
  if (ctx.error || !refusals) {
    if (ctx.error) console.error(ctx.error.type);
    util.error('The tools could not be checked. Try again.', 'TryAgain');
  }
  if (refusals.length > 0) {
    const { path, message } = refusals[0];
    util.error(`${path}: ${message}`, 'InvalidInput', null, { field: path });
  }
  return {};
}
