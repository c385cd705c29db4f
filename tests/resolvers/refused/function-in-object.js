// code.js:5:21: a function can only be called, or passed to an array method.
const helper = () => 1;

export function request(ctx) {
  const helpers = { helper };
  return helpers;
}

export function response(ctx) {
  return ctx.result;
}
