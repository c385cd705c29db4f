// code.js:3:10: the name evaluateNullish is not part of APPSYNC_JS.
export function request(ctx) {
  return evaluateNullish(1, 2);
}

export function response(ctx) {
  return ctx.result;
}
