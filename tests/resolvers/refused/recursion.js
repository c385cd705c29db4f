// code.js:4:14: count calls itself; APPSYNC_JS has no recursion.
function count(n) {
  if (n === 0) return 0;
  return 1 + count(n - 1);
}

export function request(ctx) {
  return count(3);
}

export function response(ctx) {
  return ctx.result;
}
