// code.js:3:10: the name process is not part of APPSYNC_JS.
export function request(ctx) {
  return process.env;
}

export function response(ctx) {
  return ctx.result;
}
