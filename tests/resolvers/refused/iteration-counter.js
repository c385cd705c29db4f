// code.js:3:3: the name countIteration is not part of APPSYNC_JS.
export function request(ctx) {
  countIteration();
}

export function response(ctx) {
  return ctx.result;
}
