// code.js:3:3: ctx.stash cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  ctx['stash'] = {};
}

export function response(ctx) {
  return ctx.result;
}
