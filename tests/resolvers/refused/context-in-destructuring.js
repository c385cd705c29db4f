// code.js:3:10: ctx.args cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  ({ id: ctx.args } = ctx.source);
}

export function response(ctx) {
  return ctx.result;
}
