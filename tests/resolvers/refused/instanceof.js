// code.js:3:10: the operator instanceof is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args instanceof Object;
}

export function response(ctx) {
  return ctx.result;
}
