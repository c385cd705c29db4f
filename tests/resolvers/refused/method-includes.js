// code.js:3:24: the method includes is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.list.includes('a');
}

export function response(ctx) {
  return ctx.result;
}
