import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Reads a page of the events of the agent and its tools that are a turn's answer. A page has at most 300
 * events, because a handler of AppSync may make 1,000 iterations. The pipeline names this function once for
 * each page that it allows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversationId, answerPosition, lastPosition } = ctx.source;
  const { answer = [], nextAnswerPosition = answerPosition + 1 } = ctx.stash;
  if (nextAnswerPosition > lastPosition) runtime.earlyReturn(answer);
  const sk = { between: [eventKey(nextAnswerPosition), eventKey(lastPosition)] };
  return query({
    query: { pk: { eq: `CONVERSATION#${conversationId}` }, sk },
    consistentRead: true,
    limit: 300,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { attempt, replacedBy, runPosition, lastPosition } = ctx.source;
  const { items } = ctx.result;
  // Events up to runPosition are kept by every attempt of the run. Those after it belong to the last attempt:
  // an attempt that died was replaced by the next.
  const isOfAnswer = (event) =>
    !event.superseded && (event.position <= runPosition || event.attempt === attempt);
  // The answer of a turn that another message has replaced is superseded as a whole.
  const mark = replacedBy ? { superseded: true } : {};
  const page = items
    .filter((event) => isOfAnswer(event))
    .map((event) => ({ ...event, text: textOf(event), ...mark }));
  ctx.stash.answer = [...(ctx.stash.answer ?? []), ...page];
  const lastRead = items.length > 0 ? items[items.length - 1].position : lastPosition;
  ctx.stash.nextAnswerPosition = isFull(ctx.stash.answer) ? lastPosition + 1 : lastRead + 1;
  return ctx.stash.answer;
}

/**
 * A result of AppSync has at most 5 MB. Another page adds at most 1 MB of content, with its text again and
 * some escaping, so pages are read until the answer has 2.8 MB.
 */
const isFull = (answer) => (util.base64Encode(JSON.stringify(answer)).length * 3) / 4 > 2800000;

// Copies of helpers in resolvers/shared.js, which says why.

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/**
 * The text of an event. It is stored where the content is not exactly one block, so that no reader loops over
 * blocks.
 */
const textOf = (event) => event.text ?? event.content[0]?.text ?? '';
