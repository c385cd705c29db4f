// code.js:5:11: a function can only be called, or passed to an array method.
const helper = () => 1;

export function request(ctx) {
  return [helper].length;
}

export function response(ctx) {
  return ctx.result;
}
