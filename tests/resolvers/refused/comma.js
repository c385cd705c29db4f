// code.js:3:11: the comma operator is not part of APPSYNC_JS.
export function request(ctx) {
  return (ctx.args.a, ctx.args.b);
}

export function response(ctx) {
  return ctx.result;
}
