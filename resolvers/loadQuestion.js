import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the user's event of a turn, unless the turn came with it.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, question, questionPosition } = ctx.source;
  if (question) runtime.earlyReturn(question);
  const sk = `EVENT#${`${100000000 + questionPosition}`.slice(1)}`;
  return get({ key: { pk: `CONVERSATION#${conversationId}`, sk }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  return ctx.result && { ...ctx.result, text: ctx.result.content.map((block) => block.text ?? '').join('') };
}
