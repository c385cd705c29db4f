// code.js:3:3: class is not part of APPSYNC_JS.
export function request(ctx) {
  class Thing {}
  return Thing;
}

export function response(ctx) {
  return ctx.result;
}
