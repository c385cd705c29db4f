// code.js:5:10: a function cannot be returned in APPSYNC_JS.
const helper = () => 1;

export function request(ctx) {
  return helper;
}

export function response(ctx) {
  return ctx.result;
}
