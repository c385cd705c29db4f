// code.js:4:29: AppSync evaluates the right side of ?? even where the left side has a value, and this one changes ids; use a ternary instead.
export function request(ctx) {
  const ids = [];
  const id = ctx.args.id ?? ids.push('none');
  return { id, ids };
}

export function response(ctx) {
  return ctx.result;
}
