// code.js:2:39: odd calls itself; APPSYNC_JS has no recursion.
const even = (n) => (n === 0 ? true : odd(n - 1));
const odd = (n) => (n === 0 ? false : even(n - 1));

export function request(ctx) {
  return even(3);
}

export function response(ctx) {
  return ctx.result;
}
