// code.js:3:3: the name setTimeout is not part of APPSYNC_JS.
export function request(ctx) {
  setTimeout(1);
}

export function response(ctx) {
  return ctx.result;
}
