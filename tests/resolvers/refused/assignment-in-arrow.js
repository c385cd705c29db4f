// code.js:4:25: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let total = 0;
  const add = (one) => (total += one);
  return add(1);
}

export function response(ctx) {
  return ctx.result;
}
