// code.js:3:10: Number is no function of APPSYNC_JS.
export function request(ctx) {
  return Number('1');
}

export function response(ctx) {
  return ctx.result;
}
