// code.js:9:10: the name userId is not declared in this scope.
const load = () => {
  const userId = 1;
  return userId;
};
load();

export function request(ctx) {
  return userId;
}

export function response(ctx) {
  return ctx.result;
}
