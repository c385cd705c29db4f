// code.js:3:3: try is not part of APPSYNC_JS.
export function request(ctx) {
  try {
    return 1;
  } catch {
    return 2;
  }
}

export function response(ctx) {
  return ctx.result;
}
