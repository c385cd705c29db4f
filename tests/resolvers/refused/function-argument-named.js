// code.js:5:40: a function may be passed only inline, to an array method.
import { util } from '@aws-appsync/utils';
const trimmed = (text) => text.trim();
export function request(ctx) {
  return { payload: ctx.args.texts.map(trimmed) };
}
export function response(ctx) {
  return ctx.result;
}
