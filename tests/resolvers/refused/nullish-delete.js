// code.js:8:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls drop, which changes stash.id; use a ternary instead.
function drop(stash) {
  delete stash.id;
  return null;
}

export function request(ctx) {
  return ctx.args.id ?? drop(ctx.stash);
}

export function response(ctx) {
  return ctx.result;
}
