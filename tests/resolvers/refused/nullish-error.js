// code.js:5:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls util.error; use a ternary instead.
import { util } from '@aws-appsync/utils';

export function request(ctx) {
  return ctx.args.id ?? util.error('No id');
}

export function response(ctx) {
  return ctx.result;
}
