// code.js:7:10: the name found is not declared in this scope.
export function request(ctx) {
  if (ctx.args.id) {
    const found = ctx.args.id;
    console.log(found);
  }
  return found;
}

export function response(ctx) {
  return ctx.result;
}
