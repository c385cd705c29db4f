// code.js:9:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls newId, which changes stash; use a ternary instead.
function newId(ctx) {
  const { stash } = ctx;
  stash.id = 1;
  return stash.id;
}

export function request(ctx) {
  return ctx.args.id ?? newId(ctx);
}

export function response(ctx) {
  return ctx.result;
}
