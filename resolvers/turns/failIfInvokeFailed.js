import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Closes a turn whose invocation Lambda refused: FAILED, retryable, and the conversation is free again. A
 * replayed order is left alone, because Lambda may have accepted it the first time.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { conversation, invokeFailed, isReplay, queuedTurn } = ctx.stash;
  if (!invokeFailed) runtime.earlyReturn(ctx.prev.result);
  if (isReplay) util.error(NOT_STARTED.message, 'TryAgain');
  const position = queuedTurn.lastPosition + 1;
  ctx.stash.failedTurnChange = {
    status: 'FAILED',
    failure: NOT_STARTED,
    lastPosition: position,
    lastSequence: 1,
    lastEventSequence: 1,
  };
  const isStillQueued = {
    status: { eq: 'QUEUED' },
    run: { eq: queuedTurn.run },
    attempt: { eq: queuedTurn.attempt },
  };
  const isActive = {
    eventCount: { eq: queuedTurn.lastPosition },
    activeTurnId: { eq: queuedTurn.id },
    deletedAt: { attributeExists: false },
  };
  return transactWrite({
    items: /** @type {any[]} */ ([
      {
        putItem: {
          ...conversationItem(ctx, conversation.id, eventKey(position)),
          item: failureEvent(ctx, position),
          condition: { pk: { attributeExists: false } },
        },
      },
      {
        updateItem: {
          ...conversationItem(ctx, conversation.id, `TURN#${queuedTurn.id}`),
          update: { ...ctx.stash.failedTurnChange, callerCredential: operations.remove() },
          condition: isStillQueued,
        },
      },
      {
        updateItem: {
          ...conversationItem(ctx, conversation.id, 'META'),
          update: { eventCount: position, activeTurnId: operations.remove() },
          condition: isActive,
        },
      },
    ]),
  });
}

/**
 * A turn that could not be closed either reads as failed once it can no longer be claimed.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (!ctx.error) return { ...ctx.prev.result, ...ctx.stash.failedTurnChange };
  console.error(ctx.error.type);
  return ctx.prev.result;
}

function failureEvent(ctx, position) {
  const { agent, conversation, queuedTurn } = ctx.stash;
  return {
    id: `${queuedTurn.id}-closed-${queuedTurn.run + 0}`,
    conversationId: conversation.id,
    turnId: queuedTurn.id,
    attempt: queuedTurn.attempt,
    position,
    sender: { kind: 'AGENT', id: agent.id },
    content: [],
    failure: NOT_STARTED,
    createdAt: util.time.nowISO8601(),
  };
}

// Copies of helpers in resolvers/shared.js, which says why.

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

const NOT_STARTED = {
  code: 'NOT_STARTED',
  message: 'The answer could not be started. Try again.',
  retryable: true,
};
