// code.js:3:10: import() is not part of APPSYNC_JS.
export function request(ctx) {
  return import('@aws-appsync/utils');
}

export function response(ctx) {
  return ctx.result;
}
