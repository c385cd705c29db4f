// code.js:3:65: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls util.error; use a ternary instead.
export function request(ctx) {
  return ctx.args.id ?? `${ctx.args.list.map((one) => one.id ?? util.error('No id'))}`;
}

export function response(ctx) {
  return ctx.result;
}
