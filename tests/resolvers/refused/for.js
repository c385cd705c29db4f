// code.js:3:3: for (;;) is not part of APPSYNC_JS.
export function request(ctx) {
  for (let index = 0; index < 3; index += 1) ctx.stash.index = index;
}

export function response(ctx) {
  return ctx.result;
}
