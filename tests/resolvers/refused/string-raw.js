// code.js:3:10: String.raw runs on AWS, but not on the local server.
export function request(ctx) {
  return String.raw`a\b`;
}

export function response(ctx) {
  return ctx.result;
}
