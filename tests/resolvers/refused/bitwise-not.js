// code.js:3:10: the operator ~ is not part of APPSYNC_JS.
export function request(ctx) {
  return ~ctx.args.bits;
}

export function response(ctx) {
  return ctx.result;
}
