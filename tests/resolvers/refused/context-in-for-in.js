// code.js:3:8: ctx.args cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  for (ctx.args in { a: 1 }) console.log(ctx.args);
}

export function response(ctx) {
  return ctx.result;
}
