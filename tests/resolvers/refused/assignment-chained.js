// code.js:5:11: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let first;
  let second;
  first = second = 1;
  return first + second;
}

export function response(ctx) {
  return ctx.result;
}
