// code.js:8:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls newId, which changes ctx.stash; use a ternary instead.
function newId(ctx) {
  ctx.stash.id = util.autoId();
  return ctx.stash.id;
}

export function request(ctx) {
  return ctx.args.id ?? newId(ctx);
}

export function response(ctx) {
  return ctx.result;
}
