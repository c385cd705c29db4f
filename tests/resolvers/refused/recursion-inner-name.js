// code.js:3:24: outer calls itself; APPSYNC_JS has no recursion.
const outer = function inner(n) {
  return n === 0 ? 0 : inner(n - 1);
};

export function request(ctx) {
  return outer(3);
}

export function response(ctx) {
  return ctx.result;
}
