// code.js:5:25: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls fail, which calls util.error; use a ternary instead.
const fail = (message) => util.error(message, 'InvalidInput');

export function request(ctx) {
  return ctx.args.id ?? fail('No id');
}

export function response(ctx) {
  return ctx.result;
}
