// code.js:4:24: the operator ++ is not part of APPSYNC_JS.
export function request(ctx) {
  let count = 0;
  return ctx.args.list[count++];
}

export function response(ctx) {
  return ctx.result;
}
