// code.js:3:3: do … while is not part of APPSYNC_JS.
export function request(ctx) {
  do ctx.args.go = false; while (ctx.args.go);
}

export function response(ctx) {
  return ctx.result;
}
