// code.js:5:16: a function cannot get a second name in APPSYNC_JS.
const helper = () => 1;

export function request(ctx) {
  const also = helper;
  return also();
}

export function response(ctx) {
  return ctx.result;
}
