// code.js:3:10: String is no function of APPSYNC_JS.
export function request(ctx) {
  return String(1);
}

export function response(ctx) {
  return ctx.result;
}
