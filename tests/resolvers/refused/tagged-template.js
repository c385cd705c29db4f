// code.js:3:10: a tagged template is not part of APPSYNC_JS.
export function request(ctx) {
  return ctx.args.tag`x`;
}

export function response(ctx) {
  return ctx.result;
}
