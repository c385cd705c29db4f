// code.js:3:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one changes ctx.stash; use a ternary instead.
export function request(ctx) {
  return ctx.args.id ?? Object.assign(ctx.stash, { id: 1 });
}

export function response(ctx) {
  return ctx.result;
}
