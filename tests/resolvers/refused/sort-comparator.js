// code.js:3:10: sort takes no comparator in APPSYNC_JS.
export function request(ctx) {
  return ctx.args.list.sort((a, b) => a - b);
}

export function response(ctx) {
  return ctx.result;
}
