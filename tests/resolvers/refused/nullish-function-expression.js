// code.js:7:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls fail, which calls util.error; use a ternary instead.
const fail = function inner() {
  return util.error('No id');
};

export function request(ctx) {
  return ctx.args.id ?? fail();
}

export function response(ctx) {
  return ctx.result;
}
