// code.js:5:32: a function may be passed only to an array method.
const double = (n) => n * 2;

export function request(ctx) {
  return ctx.args.list.indexOf(double);
}

export function response(ctx) {
  return ctx.result;
}
