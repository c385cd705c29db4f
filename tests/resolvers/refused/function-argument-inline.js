// code.js:5:16: a function may be passed only to an array method.
const apply = (change) => change;

export function request(ctx) {
  return apply((n) => n);
}

export function response(ctx) {
  return ctx.result;
}
