// code.js:3:20: util.time.today is not part of APPSYNC_JS.
export function request(ctx) {
  return util.time.today();
}

export function response(ctx) {
  return ctx.result;
}
