// code.js:3:8: ctx.stash cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  for (ctx.stash of ctx.args.list) console.log(ctx.stash);
}

export function response(ctx) {
  return ctx.result;
}
