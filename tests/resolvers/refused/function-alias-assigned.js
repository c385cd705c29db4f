// code.js:8:10: a function cannot get a second name in APPSYNC_JS.
function helper() {
  return 1;
}

export function request(ctx) {
  let also;
  also = helper;
  return also();
}

export function response(ctx) {
  return ctx.result;
}
