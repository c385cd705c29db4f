// code.js:7:10: util.rds runs on AWS, but not on the local server.
export function request(ctx) {
  return null;
}

export function response(ctx) {
  return util.rds.toJsonObject(ctx.result);
}
