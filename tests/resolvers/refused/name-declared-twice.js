// code.js:4:9: Identifier `id` has already been declared.
export function request(ctx) {
  const id = 1;
  const id = 2;
  return id;
}

export function response(ctx) {
  return ctx.result;
}
