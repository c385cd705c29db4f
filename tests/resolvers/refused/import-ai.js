// code.js:2:21: @aws-appsync/utils/ai runs on AWS, but not on the local server.
import * as ai from '@aws-appsync/utils/ai';

export function request(ctx) {
  return ai;
}

export function response(ctx) {
  return ctx.result;
}
