// code.js:3:10: the name parseInt is not part of APPSYNC_JS.
export function request(ctx) {
  return parseInt('1');
}

export function response(ctx) {
  return ctx.result;
}
