// code.js:4:27: continue is not part of APPSYNC_JS.
export function request(ctx) {
  for (const one of ctx.args.list) {
    if (one.length === 0) continue;
  }
}

export function response(ctx) {
  return ctx.result;
}
