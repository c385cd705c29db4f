// code.js:3:4: ctx.stash cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  [ctx.stash] = ctx.args.list;
}

export function response(ctx) {
  return ctx.result;
}
