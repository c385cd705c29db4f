// code.js:6:11: a function is called by its name.
const one = () => 1;
const two = () => 2;

export function request(ctx) {
  return (ctx.args.id ? one : two)();
}

export function response(ctx) {
  return ctx.result;
}
