import { util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the version that an agent has before putAgent writes the next one.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  return get({ key: { pk: `AGENT#${ctx.args.input.id}`, sk: 'META' }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  ctx.stash.agentVersion = ctx.result?.version;
  return {};
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
