import { runtime, util } from '@aws-appsync/utils';
import { query, transactGet } from '@aws-appsync/utils/dynamodb';

/**
 * Prepares the closing of a turn whose handler died: reads the batches that no event holds, and makes of them
 * the event that keeps their text. A page has at most 800 batches, because a handler of AppSync may make
 * 1,000 iterations. A pipeline names this function once for each page that it allows; where more would be
 * needed, the closing is not whole, and the handler closes the turn. All text of a turn that waits is in its
 * events; its closing event has a result of each call that waits, for which the results are read that clients
 * have given already.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, turn } = ctx.stash;
  if (!needsClosing(ctx) || closing?.allPagesRead) runtime.earlyReturn({});
  if (turn.storedStatus === 'WAITING') {
    const calls = answeredCalls(turn);
    if (calls.length > 0) {
      const items = calls.map(({ id }) => ({ table: ctx.env.TABLE_NAME, key: toolAnswerKey(turn, id) }));
      return transactGet({ items });
    }
    prepareEndOfWait(ctx, []);
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
  if (turn.storedStatus === 'WAITING') {
    prepareEndOfWait(ctx, ctx.result.items);
    return {};
  }
  const textByBlock = closing ? closing.textByBlock : {};
  const reasoningByBlock = closing ? closing.reasoningByBlock : {};
  const citationsByBlock = closing ? closing.citationsByBlock : {};
  const blocks = closing ? closing.blocks : [];
  let lastSequenceRead = closing ? closing.lastSequenceRead : turn.lastEventSequence;
  for (const { contentBlockIndex, citations, reasoning, sequence, text } of ctx.result.items) {
    const isKnown = textByBlock[contentBlockIndex] || reasoningByBlock[contentBlockIndex];
    if ((text || reasoning) && !isKnown) blocks.push(contentBlockIndex);
    if (reasoning) {
      reasoningByBlock[contentBlockIndex] = (reasoningByBlock[contentBlockIndex] ?? '') + reasoning;
    }
    if (text) textByBlock[contentBlockIndex] = (textByBlock[contentBlockIndex] ?? '') + text;
    if (citations) {
      citationsByBlock[contentBlockIndex] = (citationsByBlock[contentBlockIndex] ?? []).concat(citations);
    }
    lastSequenceRead = sequence;
  }
  const allPagesRead = !ctx.result.nextToken;
  const isWhole = allPagesRead && blocks.length <= MAX_EVENT_BLOCKS;
  ctx.stash.closing = {
    textByBlock,
    reasoningByBlock,
    citationsByBlock,
    blocks,
    lastSequenceRead,
    allPagesRead,
    isWhole,
  };
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

/** The calls that are approved or have the result of a client. */
const answeredCalls = (turn) => turn.storedPending.filter((call) => call.status === 'RUNNING');

/** Each call's answer is found by its key. */
function prepareEndOfWait(ctx, answers) {
  const { turn } = ctx.stash;
  const answersByKey = {};
  for (const answer of answers) {
    if (answer) answersByKey[answer.sk] = answer;
  }
  const lastSequenceRead = turn.lastSequence;
  ctx.stash.closing = {
    textByBlock: {},
    reasoningByBlock: {},
    citationsByBlock: {},
    blocks: [],
    lastSequenceRead,
    allPagesRead: true,
    isWhole: true,
  };
  ctx.stash.closing.event = withText({
    ...closingEvent(ctx),
    sender: { kind: 'TOOL', id: turn.agentId },
    content: turn.storedPending.map((call) => ({
      toolResult: resultOf(ctx, call, answersByKey[toolAnswerKey(turn, call.id).sk]),
    })),
  });
  ctx.stash.closing.turnChange = closedTurn(ctx);
}

/** The result of a call of a turn that ends before the call was run. */
function resultOf(ctx, { id, status, note }, answer) {
  const { turn } = ctx.stash;
  const result = (ended, text) => ({ toolUseId: id, status: ended, text });
  if (status === 'DENIED') {
    return result('DENIED', `The user denied this call.${note ? ` Reason: ${note}` : ''}`);
  }
  if (answer?.result) {
    const maxBytes = Math.min(MAX_RESULT_BYTES, Math.floor(MAX_RESULTS_BYTES / turn.storedPending.length));
    const ended = answer.isError ? 'FAILED' : 'SUCCEEDED';
    return { toolUseId: id, status: ended, ...limitedResult(answer.result, maxBytes) };
  }
  if (turn.status === 'FAILED') {
    return result('EXPIRED', status === 'RUNNING' ? OTHERS_NOT_ANSWERED : 'Nobody answered in time.');
  }
  if (status === 'RUNNING') return result('CANCELLED', 'The answer was ended before the call was run.');
  if (ctx.info.fieldName === 'cancelTurn') {
    return result('CANCELLED', 'The answer was cancelled before the call was run.');
  }
  return result('DENIED', 'The user sent a new message instead of answering.');
}

/**
 * The result of an approved call of a wait that has expired. The same as in handler/turn/src/tool_runs.rs.
 */
const OTHERS_NOT_ANSWERED = 'Nobody answered the other calls in time, so this call was not run.';

/** The largest result of a call, in bytes of JSON. The same as MAX_RESULT_BYTES of handler/turn/src/tool.rs. */
const MAX_RESULT_BYTES = 49152;

/** What all results of an event share, in bytes of JSON. An event of the handler has 160,000 bytes by default. */
const MAX_RESULTS_BYTES = 150000;

const TRUNCATION_MARK = ' [The rest of this result was left out because it is too long.]';

/** A longer result is cut where it fits whatever its characters: each has at most three bytes. */
function limitedResult(json, maxBytes) {
  if (utf8Length(JSON.stringify(json)) <= maxBytes) return { json };
  const length = Math.floor((maxBytes - TRUNCATION_MARK.length) / 3);
  const start = json.slice(0, length);
  const text = isUnicode(start) ? start : json.slice(0, length - 1);
  return { text: `${text}${TRUNCATION_MARK}`, truncated: true };
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
    content: closing.blocks.flatMap((index) => closedBlocks(closing, index)),
    ...ending,
  });
}

/** The signature of reasoning is in no batch, so no model gets this reasoning back. */
function closedBlocks({ citationsByBlock, reasoningByBlock, textByBlock }, index) {
  const reasoning = reasoningByBlock[index];
  const text = textByBlock[index];
  const citations = citationsByBlock[index];
  return [
    ...(reasoning ? [{ reasoning: { text: reasoning } }] : []),
    ...(text ? [{ text, ...(citations ? { citations } : {}) }] : []),
  ];
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

/** How many bytes a text has. */
function utf8Length(text) {
  const encoded = util.base64Encode(text);
  const padding = encoded.endsWith('==') ? 2 : encoded.endsWith('=') ? 1 : 0;
  return (encoded.length / 4) * 3 - padding;
}

/** A lone surrogate has no UTF-8, so it does not survive the encoding and decoding. */
const isUnicode = (text) => util.base64Decode(util.base64Encode(text)) === text;

/** The sort key of a batch: six digits each, so that keys sort by attempt, then sequence. */
const batchKey = (attempt, sequence) =>
  `${`${1000000 + attempt}`.slice(1)}#${`${1000000 + sequence}`.slice(1)}`;

/** The key of the answer to a tool call: the call's id, and the position of the event that has the call. */
function toolAnswerKey(turn, toolUseId) {
  const sk = `ANSWER#${toolUseId}#${`${100000000 + turn.pendingPosition}`.slice(1)}`;
  return { pk: `TURN#${turn.conversationId}#${turn.id}`, sk };
}

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
