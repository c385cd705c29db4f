// code.js:3:10: Identifier `util` has already been declared.
import { util } from '@aws-appsync/utils';
import { util } from '@aws-appsync/utils';

export function request(ctx) {
  return util.autoId();
}

export function response(ctx) {
  return ctx.result;
}
