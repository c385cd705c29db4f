// code.js:2:21: a function cannot be returned in APPSYNC_JS.
const maker = () => () => 1;

export function request(ctx) {
  return maker();
}

export function response(ctx) {
  return ctx.result;
}
