// code.js:3:3: a label is not part of APPSYNC_JS.
export function request(ctx) {
  outer: for (const one of ctx.args.list) break outer;
}

export function response(ctx) {
  return ctx.result;
}
