// code.js:3:3: a member of ctx cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  ctx[ctx.args.name] = 1;
}

export function response(ctx) {
  return ctx.result;
}
