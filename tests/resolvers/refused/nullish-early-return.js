// code.js:3:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls runtime.earlyReturn; use a ternary instead.
export function request(ctx) {
  return ctx.args.id ?? runtime.earlyReturn({});
}

export function response(ctx) {
  return ctx.result;
}
