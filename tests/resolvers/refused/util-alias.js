// code.js:5:5: u.validate is not part of APPSYNC_JS.
import { util as u } from '@aws-appsync/utils';

export function request(ctx) {
  u.validate(ctx.args.id);
}

export function response(ctx) {
  return ctx.result;
}
