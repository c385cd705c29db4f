import { runtime, util } from '@aws-appsync/utils';
import { query } from '@aws-appsync/utils/dynamodb';

/**
 * Prepares the closing of a turn whose handler died: reads the batches that no event holds, and makes of them
 * the event that keeps their text. A handler of AppSync may make 1,000 iterations, so a page has 900 batches:
 * a pipeline names this function once for each page that it allows.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, turn } = ctx.stash;
  if (!needsClosing(ctx) || closing?.allPagesRead) runtime.earlyReturn({});
  const afterSequence = closing ? closing.lastSequenceRead : turn.lastEventSequence;
  const sk = { between: [batchKey(turn.attempt, afterSequence + 1), batchKey(turn.attempt, 999999)] };
  const pk = { eq: `TURN#${turn.conversationId}#${turn.id}` };
  return query({ query: { pk, sk }, consistentRead: true, limit: 900 });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) raiseTableError(ctx);
  const { closing, turn } = ctx.stash;
  const blocks = closing ? closing.blocks : [];
  let lastSequenceRead = closing ? closing.lastSequenceRead : turn.lastEventSequence;
  for (const batch of ctx.result.items) {
    appendText(blocks, batch);
    lastSequenceRead = batch.sequence;
  }
  const sequence = Math.max(lastSequenceRead, turn.lastSequence) + 1;
  ctx.stash.closing = {
    blocks,
    lastSequenceRead,
    allPagesRead: !ctx.result.nextToken,
    event: closingEvent(ctx, blocks),
    turnChange: closedTurn(turn, sequence),
  };
  return {};
}

/** cancelTurn closes a turn that waits to be claimed; other fields close one that has effectively ended. */
function needsClosing(ctx) {
  const { turn } = ctx.stash;
  if (ctx.info.fieldName === 'cancelTurn') return turn.status === 'QUEUED';
  return turn && turn.status !== 'QUEUED' && turn.status !== turn.storedStatus;
}

/** Batches of one content block that follow each other are one block. */
function appendText(blocks, { contentBlockIndex, text }) {
  if (!text) return;
  const last = blocks[blocks.length - 1];
  if (last?.index === contentBlockIndex) {
    last.text += text;
  } else {
    blocks.push({ index: contentBlockIndex, text });
  }
}

function closingEvent(ctx, blocks) {
  const { conversation, turn } = ctx.stash;
  const ending = turn.status === 'FAILED' ? { failure: turn.failure } : { stopReason: 'CANCELLED' };
  return {
    id: `${turn.id}-closed-${turn.run}`,
    conversationId: turn.conversationId,
    turnId: turn.id,
    attempt: turn.attempt,
    position: turn.lastPosition + 1,
    createdAt: util.time.nowISO8601(),
    sender: { kind: 'AGENT', id: conversation.agentId },
    content: blocks.map(({ text }) => ({ text })),
    ...ending,
  };
}

function closedTurn(turn, sequence) {
  const ending =
    turn.status === 'FAILED' ? { status: 'FAILED', failure: turn.failure } : { status: 'CANCELLED' };
  return {
    ...ending,
    lastPosition: turn.lastPosition + 1,
    lastSequence: sequence,
    lastEventSequence: sequence,
    announced: false,
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** The table failed: the caller may try again. Its own message may hold data, so only the type is logged. */
function raiseTableError(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  util.error('The table did not answer. Try again.', 'TryAgain');
}
