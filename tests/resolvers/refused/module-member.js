// code.js:5:14: ddb.getItem is not part of APPSYNC_JS.
import * as ddb from '@aws-appsync/utils/dynamodb';

export function request(ctx) {
  return ddb.getItem({ key: { id: ctx.args.id } });
}

export function response(ctx) {
  return ctx.result;
}
