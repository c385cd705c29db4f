// code.js:5:56: a function may be passed only to an array method.
const helper = () => 1;

export function request(ctx) {
  return ctx.args.list.reduce((sum, one) => sum + one, helper);
}

export function response(ctx) {
  return ctx.result;
}
