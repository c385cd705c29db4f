// code.js:3:28: a regular expression literal is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.id.split(/,/);
}

export function response(ctx) {
  return ctx.result;
}
