// code.js:7:24: AppSync evaluates the right side of ?? even where the left side has a value, and this one calls extensions.setSubscriptionFilter; use a ternary instead.
export function request(ctx) {
  return null;
}

export function response(ctx) {
  return ctx.result ?? extensions.setSubscriptionFilter({ filterGroup: [] });
}
