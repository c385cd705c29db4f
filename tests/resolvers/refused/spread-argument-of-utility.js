// code.js:3:21: util.error has no rest parameter for a spread argument; AppSync's type check refuses the call (TS2556).
export function request(ctx) {
  return util.error(...ctx.args.list);
}

export function response(ctx) {
  return ctx.result;
}
