// code.js:3:11: console.table is not part of APPSYNC_JS.
export function request(ctx) {
  console.table(ctx.args);
}

export function response(ctx) {
  return ctx.result;
}
