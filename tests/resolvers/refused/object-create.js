// code.js:3:17: Object.create is not part of APPSYNC_JS.
export function request(ctx) {
  return Object.create(null);
}

export function response(ctx) {
  return ctx.result;
}
