import { util } from '@aws-appsync/utils';
import { put } from '@aws-appsync/utils/dynamodb';

/**
 * Keeps the version that was just made, for events that name it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { pk, sk, listKey, listSort, ...agent } = ctx.prev.result;
  return put({ key: { pk, sk: `VERSION#${`${1000000 + agent.version}`.slice(1)}` }, item: agent });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  return ctx.result;
}
