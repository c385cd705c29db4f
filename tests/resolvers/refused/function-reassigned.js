// code.js:5:3: the function helper cannot be replaced in APPSYNC_JS.
let helper = () => 1;

export function request(ctx) {
  helper = 1;
  return helper;
}

export function response(ctx) {
  return ctx.result;
}
