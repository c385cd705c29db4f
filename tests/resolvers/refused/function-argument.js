// code.js:5:28: a function may be passed only to an array method, written in place.
const double = (n) => n * 2;

export function request(ctx) {
  return ctx.args.list.map(double);
}

export function response(ctx) {
  return ctx.result;
}
