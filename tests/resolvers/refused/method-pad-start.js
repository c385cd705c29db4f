// code.js:3:22: the method padStart is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.id.padStart(8, '0');
}

export function response(ctx) {
  return ctx.result;
}
