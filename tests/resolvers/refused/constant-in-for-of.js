// code.js:4:8: one is a constant and cannot be assigned.
export function request(ctx) {
  const one = 0;
  for (one of ctx.args.list) console.log(one);
}

export function response(ctx) {
  return ctx.result;
}
