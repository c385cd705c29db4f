// code.js:3:3: throw is not part of APPSYNC_JS.
export function request(ctx) {
  throw 1;
}

export function response(ctx) {
  return ctx.result;
}
