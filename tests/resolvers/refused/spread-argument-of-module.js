// code.js:5:14: get has no rest parameter for a spread argument; AppSync's type check refuses the call (TS2556).
import { get } from '@aws-appsync/utils/dynamodb';

export function request(ctx) {
  return get(...ctx.args.list);
}

export function response(ctx) {
  return ctx.result;
}
