// code.js:3:3: ctx.stash cannot be replaced in APPSYNC_JS; its members can.
function before(ctx) {
  ctx.stash = {};
}

const after = (ctx) => ctx.result;

export { before as request, after as response };
