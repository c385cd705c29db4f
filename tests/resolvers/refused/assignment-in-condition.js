// code.js:4:8: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let found;
  if ((found = ctx.args.id)) return found;
}

export function response(ctx) {
  return ctx.result;
}
