// code.js:4:11: an assignment has no value in APPSYNC_JS; it must be a statement of its own.
export function request(ctx) {
  let text = 'a';
  return (text += 'b');
}

export function response(ctx) {
  return ctx.result;
}
