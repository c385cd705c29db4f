// code.js:3:22: the method charCodeAt is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.id.charCodeAt(0);
}

export function response(ctx) {
  return ctx.result;
}
