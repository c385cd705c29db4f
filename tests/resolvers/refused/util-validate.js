// code.js:3:8: util.validate is not part of APPSYNC_JS.
export function request(ctx) {
  util.validate(ctx.args.id, 'No id');
}

export function response(ctx) {
  return ctx.result;
}
