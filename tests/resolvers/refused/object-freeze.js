// code.js:3:17: Object.freeze is not part of APPSYNC_JS.
export function request(ctx) {
  return Object.freeze({});
}

export function response(ctx) {
  return ctx.result;
}
