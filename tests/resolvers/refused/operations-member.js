// code.js:5:21: operations.set is not part of APPSYNC_JS.
import { operations } from '@aws-appsync/utils/dynamodb';

export function request(ctx) {
  return operations.set(1);
}

export function response(ctx) {
  return ctx.result;
}
