import { util, extensions, runtime } from '@aws-appsync/utils';
import * as ddb from '@aws-appsync/utils/dynamodb';
import { get, operations } from '@aws-appsync/utils/dynamodb';

const LIMIT = 100;
const clamp = (value) => Math.min(Math.max(value ?? 1, 1), LIMIT);

const quote = (text) => `"${text}"`;

function describe({ id, tags = [], ...rest }) {
  return `${id}: ${tags.map((tag) => tag.trim().toLowerCase()).map((tag) => quote(tag)).join(', ')} ${JSON.stringify(rest)}`;
}

/**
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { id, list = [], filter } = ctx.args;
  if (!id || typeof id !== 'string') util.error('No id', 'InvalidInput', null, { field: 'id' });
  let total = 0;
  for (const one of list) {
    total += one & 3;
    if (total > 10) break;
  }
  for (const key in filter) ctx.stash[key] = filter[key];
  const longest = list.filter((one) => one.length > 1).reduce((best, one) => (one.length > best.length ? one : best), '');
  switch (longest) {
    case '':
      runtime.earlyReturn({}, { skipTo: 'END' });
      break;
    default:
      ctx.stash.longest = longest.slice(0, clamp(ctx.args.limit));
  }
  ctx.stash.found = list.indexOf('a') > -1 && id.startsWith('x') ? describe({ id, ...filter }) : undefined;
  delete ctx.stash.old;
  ctx.stash.update = ddb.update({ key: { id }, update: { count: operations.increment(1), at: util.time.nowISO8601() } });
  return get({ key: util.dynamodb.toMapValues({ id }), consistentRead: true });
}

export const response = (ctx) => {
  if (ctx.error) util.appendError(ctx.error.message, ctx.error.type);
  if (ctx.info.parentTypeName === 'Subscription') {
    extensions.setSubscriptionFilter(util.transform.toSubscriptionFilter({ id: { eq: ctx.args.id } }));
  }
  console.log(Object.keys(ctx.result ?? {}), Number.isNaN(NaN), Infinity, undefined);
  return ctx.result?.items?.map((item, index) => ({ ...item, index })) ?? ctx.prev?.result;
};
