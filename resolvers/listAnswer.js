import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads the agent's events that are a turn's answer. A page holds 1 MB: the pipeline names this function once for each page it allows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, answerPosition, lastPosition } = ctx.source;
  const { answer = [], next = answerPosition + 1 } = ctx.stash;
  if (next > lastPosition) runtime.earlyReturn(answer);
  return query({
    query: { pk: { eq: `CONVERSATION#${conversationId}` }, sk: { between: [key(next), key(lastPosition)] } },
    consistentRead: true,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (ctx.error) util.error('The table did not answer. Try again.', 'TryAgain');
  const { attempt, runPosition, lastPosition } = ctx.source;
  const { items } = ctx.result;
  // What an attempt of this run said before it died is no part of it.
  const told = items
    .filter((event) => !event.superseded && (event.position <= runPosition || event.attempt === attempt))
    .map((event) => ({ ...event, text: event.content.map((block) => block.text ?? '').join('') }));
  ctx.stash.next = items.length > 0 ? items[items.length - 1].position + 1 : lastPosition + 1;
  ctx.stash.answer = [...(ctx.stash.answer ?? []), ...told];
  return ctx.stash.answer;
}

const key = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;
