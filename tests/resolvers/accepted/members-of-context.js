export function request(ctx) {
  ctx.args.something = 'a';
  ctx.stash['other'] = 'b';
  delete ctx.stash.old;
  delete ctx.args['older'];
  for (ctx.stash.key in ctx.args) console.log(ctx.stash.key);
  [ctx.stash.first] = ctx.args.list;
  ({ id: ctx.stash.id } = ctx.args);
  const values = ctx.args;
  delete values.id;
  return {};
}

export function response(ctx) {
  ctx.result.seen = true;
  return ctx.result;
}
