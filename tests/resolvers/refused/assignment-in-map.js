// code.js:4:38: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let last;
  return ctx.args.list.map((one) => (last = one));
}

export function response(ctx) {
  return ctx.result;
}
