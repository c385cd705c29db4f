// code.js:3:24: Object.assign has no rest parameter for a spread argument; AppSync's type check refuses the call (TS2556).
export function request(ctx) {
  return Object.assign(...ctx.args.list);
}

export function response(ctx) {
  return ctx.result;
}
