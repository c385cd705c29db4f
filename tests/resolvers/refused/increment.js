// code.js:4:3: the operator ++ is not part of APPSYNC_JS.
export function request(ctx) {
  let count = 0;
  count++;
}

export function response(ctx) {
  return ctx.result;
}
