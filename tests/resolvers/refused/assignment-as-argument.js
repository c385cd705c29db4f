// code.js:4:26: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let id;
  return JSON.stringify((id = 1));
}

export function response(ctx) {
  return ctx.result;
}
