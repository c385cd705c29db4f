import { runtime, util } from '@aws-appsync/utils';

/**
 * Invokes the handler asynchronously to answer a queued turn, unless it was started a moment ago. After a
 * message the payload has the question and as much of the newest history as fits; after a retry or a continue
 * the handler reads both from the table. While other tool calls still wait, the handler only publishes that
 * one has been answered.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { closing, conversation, isReplay, isStarted, question, queuedTurn, toolCallUpdate } = ctx.stash;
  if (closing && !closing.isWhole && !isReplay) return invoke(closeOrder(ctx));
  const isUnderWay = queuedTurn.status !== 'QUEUED' && !toolCallUpdate;
  if (isStarted || isUnderWay) runtime.earlyReturn(toTurn(ctx), { skipTo: 'END' });
  if (toolCallUpdate) return invoke(toolCallUpdate);
  const historyEnd = question ? endOfHistory(ctx) : 0;
  const history = question ? historyBefore(historyEnd, newestEvents(ctx)) : [];
  return invoke({
    type: 'turn',
    conversationId: conversation.id,
    turnId: queuedTurn.id,
    run: queuedTurn.run,
    agent: toPayloadAgent(ctx.stash.agent),
    question: question ? toPayloadEvent(question) : null,
    history,
    historyCut: !question || history.length < historyEnd - 1,
    continues: queuedTurn.runPosition > queuedTurn.answerPosition,
    askedBy: askedBy(ctx),
    callerGroups: callerGroups(ctx),
    startedAt: queuedTurn.startedAt,
    participantCount: conversation.participantCount ?? 0,
    callerCredential: callerCredential(ctx),
    replyTo: queuedTurn.replyTo,
    // The handler makes a title of the first answer.
    untitled: conversation.title ? undefined : true,
  });
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  if (!ctx.stash.queuedTurn) util.error('The last answer is still being stored. Try again.', 'TryAgain');
  // An answered call that is not published is no failure: getTurn has it.
  ctx.stash.invokeFailed = !!ctx.error && !ctx.stash.toolCallUpdate;
  return toTurn(ctx);
}

/** After the answers to tool calls, the run is still that of the user who asked. Null for the API key. */
function askedBy(ctx) {
  const { queuedTurn, userId } = ctx.stash;
  if (!isNull(queuedTurn.agentVersion)) return queuedTurn.askedBy ?? null;
  return isApiKey(ctx) ? null : userId;
}

/** After the answers to tool calls, only the user who asked brings the groups. */
function callerGroups(ctx) {
  return ctx.stash.userId === (askedBy(ctx) ?? 'API_KEY') ? ctx.stash.groups : [];
}

/** A run after the answers has the credential of the user who asked, if that user has answered. */
function callerCredential(ctx) {
  const { agent, queuedTurn } = ctx.stash;
  if (isNull(queuedTurn.agentVersion)) return ctx.stash.callerCredential;
  const isNeeded = agent.tools.some((tool) => tool.graphql);
  return queuedTurn.callerCredential ?? (isNeeded ? { kind: 'NONE', reason: 'NOT_SEALED' } : undefined);
}

const invoke = (payload) => ({ operation: 'Invoke', invocationType: 'Event', payload });

/**
 * The order to close the last turn, whose text is too much for this request. The caller tries again after it.
 */
function closeOrder(ctx) {
  const { turn } = ctx.stash;
  const { id: turnId, conversationId, replyTo, run } = turn;
  return { type: 'close', conversationId, turnId, run, replyTo };
}

/**
 * Lambda bills an asynchronous payload by 256 KB and accepts 1 MB; whether AppSync accepts as much is not
 * documented. The question (at most 100 KB) and the agent (at most 64 KB for its system prompt, 64 KB for
 * its tools, and its settings) come on top of this.
 */
const HISTORY_BYTES = 196608;

/** The event that closed the last turn was stored after the events were read. Newest first. */
function newestEvents(ctx) {
  const { closing, isReplay, recentEvents } = ctx.stash;
  return closing && !isReplay ? [closing.event, ...recentEvents] : recentEvents;
}

/**
 * AppSync ends a function after 1,000 iterations. This one makes three for each of at most 201 events, and
 * two for each content block of an event that may have passages or reasoning. Where the history has more of
 * these blocks, the Lambda handler reads the rest from the table.
 */
const MAX_TRIMMED_BLOCKS = 190;

/**
 * The position before which the history ends. The model does not get the turn that the message has just
 * replaced. Where it was replaced before, its stored question says so to the handler.
 */
function endOfHistory(ctx) {
  const { isReplay, question, turn } = ctx.stash;
  return question.replacesTurnId && !isReplay ? turn.questionPosition : question.position;
}

/** Oldest first. `newestFirst`: the newest events of the conversation. */
function historyBefore(end, newestFirst) {
  const history = [];
  let room = HISTORY_BYTES;
  const older = newestFirst.filter((event) => event.position < end);
  const { events, searchIds } = withSearches(older);
  for (const event of events) {
    const content = trimmed(event.content, searchIds);
    room -= (util.base64Encode(JSON.stringify(content)).length * 3) / 4;
    if (room < 0) break;
    history.unshift(toPayloadEvent({ ...event, content }));
  }
  return history;
}

/** The same as SEARCH_TOOL_NAME in handler/turn/src/knowledge_tool.rs. */
const SEARCH_TOOL = 'search_documents';

/** The newest events, as many as have no more trimmed blocks than allowed, and the ids of their searches. */
function withSearches(newestFirst) {
  const events = [];
  const searchIds = [];
  let blocks = 0;
  for (const event of newestFirst) {
    const trimmedBlocks = mayNeedTrimming(event.content) ? event.content : [];
    blocks += trimmedBlocks.length;
    if (blocks > MAX_TRIMMED_BLOCKS) break;
    for (const { toolUse } of trimmedBlocks) {
      if (toolUse?.name === SEARCH_TOOL) searchIds.push(toolUse.id);
    }
    events.push(event);
  }
  return { events, searchIds };
}

/** A text with one of these words is harmless: its blocks are looked at and stay as they are. */
function mayNeedTrimming(content) {
  const json = JSON.stringify(content);
  const has = (word) => json.indexOf(word) >= 0;
  return has('citations') || has('passages') || has('"reasoning":') || has(SEARCH_TOOL);
}

/**
 * The model never gets the passages of past turns, which would take the room of their texts. The handler
 * reads the reasoning that the model gets back from the table.
 */
function trimmed(content, searchIds) {
  if (!mayNeedTrimming(content)) return content;
  return content.flatMap(({ citations, ...block }) => {
    if (block.reasoning) return [];
    if (!block.toolResult || searchIds.indexOf(block.toolResult.toolUseId) < 0) return [block];
    const { json, ...toolResult } = block.toolResult;
    return [{ ...block, toolResult }];
  });
}

function toPayloadEvent(item) {
  const { pk, sk, usage, text, ...event } = item;
  return event;
}

function toTurn(ctx) {
  const { question, queuedTurn } = ctx.stash;
  if (!question) return queuedTurn;
  return { ...queuedTurn, question: { ...question, text: question.content[0].text } };
}

// Copies of helpers in resolvers/shared.js, which says why.

const isNull = (value) => value === undefined || value === null;

/** An agent as the handler gets it. */
function toPayloadAgent(agent) {
  const { id, version, name, modelId, systemPrompt, inference, contextBytes } = agent;
  const { reasoning, promptCaching, fallbackModelIds, guardrail } = agent;
  const { tools, maxSteps, toolTimeoutSeconds, knowledge } = agent;
  const model = { modelId, systemPrompt, inference, contextBytes };
  const settings = { reasoning, promptCaching, fallbackModelIds, guardrail };
  return { id, version, name, ...model, ...settings, tools, maxSteps, toolTimeoutSeconds, knowledge };
}

/** All callers with the API key are one user. */
const isApiKey = (ctx) => ctx.stash.userId === 'API_KEY';
