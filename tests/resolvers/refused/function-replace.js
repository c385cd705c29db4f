// code.js:3:35: a function may be passed only to an array method.
export function request(ctx) {
  return ctx.args.id.replace('a', () => 'b');
}

export function response(ctx) {
  return ctx.result;
}
