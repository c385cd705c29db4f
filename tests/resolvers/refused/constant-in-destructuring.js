// code.js:4:6: id is a constant and cannot be assigned.
export function request(ctx) {
  const id = 0;
  ({ id } = ctx.args);
}

export function response(ctx) {
  return ctx.result;
}
