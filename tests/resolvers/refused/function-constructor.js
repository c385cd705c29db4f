// code.js:3:10: the name Function is not part of APPSYNC_JS.
export function request(ctx) {
  return Function('return 1');
}

export function response(ctx) {
  return ctx.result;
}
