// code.js:7:3: extensions.evictFromApiCache runs on AWS, but not on the local server.
export function request(ctx) {
  return null;
}

export function response(ctx) {
  extensions.evictFromApiCache('Query', 'getPost', {});
  return ctx.result;
}
