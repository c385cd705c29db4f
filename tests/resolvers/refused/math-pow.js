// code.js:3:15: Math.pow is not part of APPSYNC_JS.
export function request(ctx) {
  return Math.pow(2, 3);
}

export function response(ctx) {
  return ctx.result;
}
