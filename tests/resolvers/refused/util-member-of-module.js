// code.js:5:23: appsync.util.validate is not part of APPSYNC_JS.
import * as appsync from '@aws-appsync/utils';

export function request(ctx) {
  return appsync.util.validate(ctx.args.id);
}

export function response(ctx) {
  return ctx.result;
}
