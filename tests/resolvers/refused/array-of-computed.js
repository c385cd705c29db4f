// code.js:3:10: a function is called by its name.
export function request(ctx) {
  return Array['of'](1);
}

export function response(ctx) {
  return ctx.result;
}
