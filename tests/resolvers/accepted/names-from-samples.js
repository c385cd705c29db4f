export function request(ctx) {
  const groups = Array.isArray(ctx.identity.groups) ? ctx.identity.groups : [];
  console.debug(groups);
  if (!groups.includes('Admin') || !ctx.info.selectionSetList.includes('id')) util.unauthorized();
  return { today: util.time.nowISO8601().substring(0, 10), void: void 0, type: typeof ctx.args.id };
}

export const response = (ctx) => ctx.result;
