// code.js:3:16: Array.from is not part of APPSYNC_JS.
export function request(ctx) {
  return Array.from([]);
}

export function response(ctx) {
  return ctx.result;
}
