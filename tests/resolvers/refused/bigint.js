// code.js:3:10: a BigInt is not part of APPSYNC_JS.
export function request(ctx) {
  return 1n;
}

export function response(ctx) {
  return ctx.result;
}
