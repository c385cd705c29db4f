import { util } from '@aws-appsync/utils';
import { put } from '@aws-appsync/utils/dynamodb';

/**
 * Stores the new version for good, because events name the version that answered.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { pk, sk, listKey, listSort, ...agent } = ctx.prev.result;
  return put({ key: { pk, sk: agentVersionKey(agent.version) }, item: agent });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  return ctx.result;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The sort key of a version of an agent. */
const agentVersionKey = (version) => `VERSION#${`${1000000 + version}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
