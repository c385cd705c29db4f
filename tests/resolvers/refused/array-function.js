// code.js:3:10: Array is no function of APPSYNC_JS.
export function request(ctx) {
  return Array(3);
}

export function response(ctx) {
  return ctx.result;
}
