// code.js:3:10: new is not part of APPSYNC_JS.
export function request(ctx) {
  return new Object();
}

export function response(ctx) {
  return ctx.result;
}
