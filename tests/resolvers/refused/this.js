// code.js:3:10: this is not part of APPSYNC_JS.
export function request(ctx) {
  return this;
}

export function response(ctx) {
  return ctx.result;
}
