// code.js:3:10: ctx.args cannot be deleted in APPSYNC_JS; its members can.
export function request(ctx) {
  delete ctx['args'];
}

export function response(ctx) {
  return ctx.result;
}
