// code.js:5:25: ddb.operations.set is not part of APPSYNC_JS.
import * as ddb from '@aws-appsync/utils/dynamodb';

export function request(ctx) {
  return ddb.operations.set(1);
}

export function response(ctx) {
  return ctx.result;
}
