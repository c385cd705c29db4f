// code.js:3:10: the name String is not part of APPSYNC_JS.
export function request(ctx) {
  return String(1);
}

export function response(ctx) {
  return ctx.result;
}
