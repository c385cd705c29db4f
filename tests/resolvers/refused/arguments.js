// code.js:3:10: the name arguments is not part of APPSYNC_JS.
export function request(ctx) {
  return arguments;
}

export function response(ctx) {
  return ctx.result;
}
