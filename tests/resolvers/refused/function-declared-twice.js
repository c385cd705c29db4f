// code.js:6:7: Identifier `helper` has already been declared.
function helper() {
  return 1;
}

const helper = () => 2;

export function request(ctx) {
  return helper();
}

export function response(ctx) {
  return ctx.result;
}
