// code.js:3:10: the name Array is not part of APPSYNC_JS.
export function request(ctx) {
  return Array.from([]);
}

export function response(ctx) {
  return ctx.result;
}
