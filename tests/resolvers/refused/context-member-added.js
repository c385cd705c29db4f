// code.js:3:3: ctx.note cannot be replaced in APPSYNC_JS; its members can.
export function request(ctx) {
  ctx.note = 1;
}

export function response(ctx) {
  return ctx.result;
}
