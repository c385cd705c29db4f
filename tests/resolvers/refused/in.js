// code.js:3:10: the operator in is not part of APPSYNC_JS.
export function request(ctx) {
  return 'id' in ctx.args;
}

export function response(ctx) {
  return ctx.result;
}
