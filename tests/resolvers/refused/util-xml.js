// code.js:7:10: util.xml runs on AWS, but not on the local server.
export function request(ctx) {
  return null;
}

export function response(ctx) {
  return util.xml.toMap(ctx.result.body);
}
