// code.js:3:10: depth calls itself; APPSYNC_JS has no recursion.
function depth(node) {
  return node.children.map(depth);
}

export function request(ctx) {
  return depth(ctx.args);
}

export function response(ctx) {
  return ctx.result;
}
