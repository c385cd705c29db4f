function before(ctx) {
  ctx.args.id = ctx.args.id || 1;
  return {};
}

const after = (ctx) => ctx.result;

export { after as response, before as request };
export function unused() {
  return null;
}
