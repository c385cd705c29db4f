// code.js:3:3: ctx cannot be replaced in APPSYNC_JS.
export function request(ctx) {
  ctx = {};
}

export function response(ctx) {
  return ctx.result;
}
