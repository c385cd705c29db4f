// code.js:5:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls appsync.util.appendError; use a ternary instead.
import * as appsync from '@aws-appsync/utils';

export function request(ctx) {
  return ctx.args.id ?? appsync.util.appendError('No id');
}

export function response(ctx) {
  return ctx.result;
}
