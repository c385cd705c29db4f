import { util } from '@aws-appsync/utils';
import { operations } from '@aws-appsync/utils/dynamodb';

const limitOf = (ctx) => Math.min(ctx.env.LIMIT ?? 100, 100);

function sum(list) {
  const numbers = [];
  let total = 0;
  for (const one of list) {
    numbers.push(one);
    total += one;
  }
  const result = {};
  result.total = total;
  delete result.none;
  return list.reduce((all, one) => {
    all.push(one);
    return all;
  }, []).length + result.total + numbers.sort().length;
}

function fail(message) {
  util.error(message);
}

export function request(ctx) {
  const id = ctx.args.id ?? util.autoId();
  const limit = ctx.args.limit ?? limitOf(ctx);
  const total = ctx.args.total ?? sum(ctx.args.list ?? []);
  const list = ctx.args.list ?? [1, 2].concat([3]).reverse();
  const text = ctx.args.text ?? JSON.stringify(Object.assign({}, ctx.args));
  const values = Object.entries(ctx.args).reduce((object, [key, value]) => {
    object[key] = value ?? operations.remove();
    return object;
  }, {});
  if (!id) fail(ctx.args.message ?? 'No id');
  const checked = id || util.error('No id');
  const also = id ? id : util.error('No id');
  util.error('No id') ?? id;
  return { limit, total, list, text, values, checked, also };
}

export const response = (ctx) => ctx.result ?? null;
