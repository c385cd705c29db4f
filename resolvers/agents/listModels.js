import { util } from '@aws-appsync/utils';

/**
 * Asks the handler what the models can do that the deployment's parameters name. The handler adds those of
 * MoreModelArns, which may be too long for an environment variable of the API. Administrators only.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (!ctx.stash.isAdministrator) util.unauthorized();
  const { MODEL_ID, FOUNDATION_MODEL_ID, FALLBACK_MODEL_IDS } = ctx.env;
  const named = [MODEL_ID, ...FALLBACK_MODEL_IDS.split(','), FOUNDATION_MODEL_ID];
  const modelIds = named.filter((id, index) => id !== 'none' && named.indexOf(id) === index);
  return {
    operation: 'Invoke',
    invocationType: 'RequestResponse',
    payload: { type: 'listModels', modelIds },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error || !ctx.result) {
    if (ctx.error) console.error(ctx.error.type);
    util.error('The models could not be listed. Try again.', 'TryAgain');
  }
  return ctx.result;
}
