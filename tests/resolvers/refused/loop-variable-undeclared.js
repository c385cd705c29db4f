// code.js:3:8: the name item is not part of APPSYNC_JS.
export function request(ctx) {
  for (item of ctx.args.list) console.log(item);
}

export function response(ctx) {
  return ctx.result;
}
