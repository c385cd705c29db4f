// code.js:3:12: a getter or setter is not part of APPSYNC_JS.
export function request(ctx) {
  return { get a() { return 1; } };
}

export function response(ctx) {
  return ctx.result;
}
