// code.js:5:17: the method call is not part of APPSYNC_JS.
const helper = () => 1;

export function request(ctx) {
  return helper.call(null);
}

export function response(ctx) {
  return ctx.result;
}
