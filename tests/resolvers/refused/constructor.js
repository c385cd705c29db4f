// code.js:3:19: constructor is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.constructor;
}

export function response(ctx) {
  return ctx.result;
}
