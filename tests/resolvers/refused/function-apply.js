// code.js:5:17: the method apply is not part of APPSYNC_JS.
const helper = () => 1;

export function request(ctx) {
  return helper.apply(null, []);
}

export function response(ctx) {
  return ctx.result;
}
