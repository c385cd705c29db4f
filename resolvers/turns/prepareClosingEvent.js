import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Prepares the closing of a turn whose handler died: reads the batches that no event holds, and makes of them
 * the event that keeps their text. A page has at most 800 batches, because a handler of AppSync may make
 * 1,000 iterations. A pipeline names this function once for each page that it allows; where more would be
 * needed, the closing is not whole, and the handler closes the turn. All text of a turn that waits is in its
 * events; its closing event has a result of each call that waits.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, turn } = ctx.stash;
  if (!needsClosing(ctx) || closing?.allPagesRead) runtime.earlyReturn({});
  if (turn.storedStatus === 'WAITING') {
    prepareEndOfWait(ctx);
    runtime.earlyReturn({});
  }
  const afterSequence = closing ? closing.lastSequenceRead : turn.lastEventSequence;
  const sk = { between: [batchKey(turn.attempt, afterSequence + 1), batchKey(turn.attempt, MAX_SEQUENCE)] };
  const pk = { eq: `TURN#${turn.conversationId}#${turn.id}` };
  return query({ query: { pk, sk }, consistentRead: true, limit: 800 });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { closing, turn } = ctx.stash;
  const textByBlock = closing ? closing.textByBlock : {};
  const blocks = closing ? closing.blocks : [];
  let lastSequenceRead = closing ? closing.lastSequenceRead : turn.lastEventSequence;
  for (const { contentBlockIndex, sequence, text } of ctx.result.items) {
    if (text && isNull(textByBlock[contentBlockIndex])) blocks.push(contentBlockIndex);
    if (text) textByBlock[contentBlockIndex] = (textByBlock[contentBlockIndex] ?? '') + text;
    lastSequenceRead = sequence;
  }
  const allPagesRead = !ctx.result.nextToken;
  const isWhole = allPagesRead && blocks.length <= MAX_EVENT_BLOCKS;
  ctx.stash.closing = { textByBlock, blocks, lastSequenceRead, allPagesRead, isWhole };
  if (isWhole) {
    ctx.stash.closing.event = closingEvent(ctx);
    ctx.stash.closing.turnChange = closedTurn(ctx);
  }
  return {};
}

/**
 * cancelTurn closes a turn that waits to be claimed or answered; other fields close one that has effectively
 * ended. A new message closes one that waits to be answered.
 */
function needsClosing(ctx) {
  const { existingMessage, turn } = ctx.stash;
  const { fieldName } = ctx.info;
  if (fieldName === 'cancelTurn') return turn.status === 'QUEUED' || turn.status === 'WAITING';
  if (turn?.status === 'WAITING') return fieldName === 'sendMessage' && !existingMessage;
  return turn && turn.status !== 'QUEUED' && turn.status !== turn.storedStatus;
}

function prepareEndOfWait(ctx) {
  const { turn } = ctx.stash;
  const lastSequenceRead = turn.lastSequence;
  ctx.stash.closing = { textByBlock: {}, blocks: [], lastSequenceRead, allPagesRead: true, isWhole: true };
  ctx.stash.closing.event = withText({
    ...closingEvent(ctx),
    sender: { kind: 'TOOL', id: turn.agentId },
    content: turn.storedPending.map((call) => ({ toolResult: resultOf(ctx, call) })),
  });
  ctx.stash.closing.turnChange = closedTurn(ctx);
}

/** The result of a call of a turn that ends before the call was run. */
function resultOf(ctx, { id, status, note }) {
  const result = (ended, text) => ({ toolUseId: id, status: ended, text });
  if (status === 'DENIED') {
    return result('DENIED', `The user denied this call.${note ? ` Reason: ${note}` : ''}`);
  }
  if (status === 'RUNNING') return result('CANCELLED', 'The answer was ended before the call was run.');
  if (ctx.stash.turn.status === 'FAILED') return result('EXPIRED', 'Nobody answered in time.');
  if (ctx.info.fieldName === 'cancelTurn') {
    return result('CANCELLED', 'The answer was cancelled before the call was run.');
  }
  return result('DENIED', 'The user sent a new message instead of answering.');
}

function closingEvent(ctx) {
  const { closing, conversation, turn } = ctx.stash;
  const ending = turn.status === 'FAILED' ? { failure: turn.failure } : { stopReason: 'CANCELLED' };
  return withText({
    id: `${turn.id}-closed-${turn.run + 0}`,
    conversationId: turn.conversationId,
    turnId: turn.id,
    attempt: turn.attempt,
    position: turn.lastPosition + 1,
    createdAt: util.time.nowISO8601(),
    sender: { kind: 'AGENT', id: conversation.agentId },
    content: closing.blocks.map((index) => ({ text: closing.textByBlock[index] })),
    ...ending,
  });
}

function closedTurn(ctx) {
  const { closing, turn } = ctx.stash;
  const ending =
    turn.status === 'FAILED' ? { status: 'FAILED', failure: turn.failure } : { status: 'CANCELLED' };
  const sequence = Math.max(closing.lastSequenceRead, turn.lastSequence) + 1;
  return {
    ...ending,
    lastPosition: turn.lastPosition + 1,
    lastSequence: sequence,
    lastEventSequence: sequence,
    announced: false,
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

/**
 * The largest number of content blocks of an event. The same as MAX_EVENT_BLOCKS in
 * handler/turn/src/answer.rs.
 */
const MAX_EVENT_BLOCKS = 64;

/**
 * The largest attempt or sequence that batchKey can hold. The same as MAX_SEQUENCE in
 * handler/src/aws/dynamodb/reads.rs.
 */
const MAX_SEQUENCE = 999999;

const isNull = (value) => value === undefined || value === null;

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}

/**
 * The content of an event, with its joined text where that is not the only block. At most MAX_EVENT_BLOCKS
 * blocks.
 */
function withText(event) {
  if (event.content.length <= 1) return event;
  return { ...event, text: event.content.map((block) => block.text ?? '').join('') };
}
