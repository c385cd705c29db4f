// code.js:4:3: count is a constant and cannot be assigned.
export function request(ctx) {
  const count = 0;
  count += 1;
}

export function response(ctx) {
  return ctx.result;
}
