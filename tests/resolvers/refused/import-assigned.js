// code.js:5:3: util is a constant and cannot be assigned.
import { util } from '@aws-appsync/utils';

export function request(ctx) {
  util = {};
}

export function response(ctx) {
  return ctx.result;
}
