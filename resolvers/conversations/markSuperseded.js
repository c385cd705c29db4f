import { runtime, util } from '@aws-appsync/utils';
import { get } from '@aws-appsync/utils/dynamodb';

/**
 * Marks the events of a page that a retry or another message has replaced. A retry notes in the user's event
 * after which position the answer begins; a message that replaces a turn marks the turn's user event. A page
 * that begins within an answer lacks the user's event: listEvents has often read it beside the page; else the
 * turn is read, which has the same notes.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { items, hasMore } = ctx.prev.result;
  const { precedingEvent } = ctx.stash;
  const first = items[0];
  if (!first || first.sender.kind === 'USER') runtime.earlyReturn({ items: toEvents(items, 0), hasMore });
  if (precedingEvent?.sender.kind === 'USER') {
    runtime.earlyReturn({ items: toEvents(items, supersededUpTo(precedingEvent)), hasMore });
  }
  return get({ key: { pk: first.pk, sk: `TURN#${first.turnId}` }, consistentRead: true });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { items, hasMore } = ctx.prev.result;
  return { items: toEvents(items, supersededUpTo(ctx.result)), hasMore };
}

/** Up to which position the events after a turn's user event are superseded. `item`: that event or the turn. */
function supersededUpTo(item) {
  const isReplaced = item?.superseded || item?.replacedBy;
  return isReplaced ? MAX_POSITION : (item?.answerPosition ?? 0);
}

/** `supersededBefore`: the position of the turn that the first events belong to. */
function toEvents(items, supersededBefore) {
  let lastSuperseded = supersededBefore;
  return items.map((event) => {
    if (event.sender.kind === 'USER') lastSuperseded = supersededUpTo(event);
    const isReplaced = event.sender.kind !== 'USER' && event.position <= lastSuperseded;
    return { ...event, text: textOf(event), superseded: isReplaced || event.superseded };
  });
}

/** The largest position that eventKey can hold. */
const MAX_POSITION = 99999999;

// Copies of helpers in resolvers/shared.js, which says why.

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
