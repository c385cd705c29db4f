// code.js:3:10: the name fetch is not part of APPSYNC_JS.
export function request(ctx) {
  return fetch('https://example.com');
}

export function response(ctx) {
  return ctx.result;
}
