// code.js:3:3: the operator &&= is not part of APPSYNC_JS.
export function request(ctx) {
  ctx.stash.limit &&= 1;
}

export function response(ctx) {
  return ctx.result;
}
