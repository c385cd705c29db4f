// code.js:3:3: while is not part of APPSYNC_JS.
export function request(ctx) {
  while (ctx.args.go) ctx.args.go = false;
}

export function response(ctx) {
  return ctx.result;
}
