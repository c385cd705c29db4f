// code.js:3:10: the name Date is not part of APPSYNC_JS.
export function request(ctx) {
  return Date.now();
}

export function response(ctx) {
  return ctx.result;
}
