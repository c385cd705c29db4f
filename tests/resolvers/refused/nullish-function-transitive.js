// code.js:11:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls idOf, which calls util.error; use a ternary instead.
function idOf(ctx) {
  return ctx.source ? ctx.source.id : noId();
}

function noId() {
  return util.error('No id');
}

export function request(ctx) {
  return ctx.args.id ?? idOf(ctx);
}

export function response(ctx) {
  return ctx.result;
}
