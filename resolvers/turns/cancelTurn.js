import { runtime, util } from '@aws-appsync/utils';
import { operations, transactWrite } from '@aws-appsync/utils/dynamodb';

/**
 * Cancels a turn. A live handler reads CANCELLING with its next publish and ends the turn; a turn without a
 * handler, which waits to be claimed or answered, ends here.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { turn } = ctx.stash;
  if (!isCancellable(turn)) runtime.earlyReturn(turn);
  const writes = turn.status === 'RUNNING' ? [askHandlerToStop(ctx)] : endTurn(ctx);
  const { writePermission } = ctx.stash;
  return transactWrite({ items: writePermission ? [...writes, writePermission] : writes });
}

/**
 * A turn that has ended in the meantime, or that somebody else cancelled, is returned as it is.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { closing, turn } = ctx.stash;
  if (!ctx.error) {
    ctx.stash.announcesEnd = turn.status === 'WAITING';
    const status = closing ? 'CANCELLED' : 'CANCELLING';
    return { ...turn, pending: undefined, status, ...closing?.turnChange };
  }
  // The turn is the first item of both transactions.
  const stored = ctx.result?.cancellationReasons?.[0]?.item;
  if (stored && !isCancellable(stored)) return stored;
  console.error(ctx.error.type);
  return util.error('Somebody else wrote to the turn just now. Try again.', 'TryAgain');
}

const isCancellable = ({ status }) => status === 'QUEUED' || status === 'RUNNING' || status === 'WAITING';

function askHandlerToStop(ctx) {
  const { conversation, turn } = ctx.stash;
  const isLeased = { leaseUntil: { gt: util.time.nowEpochMilliSeconds() } };
  return {
    updateItem: {
      ...conversationItem(ctx, conversation.id, `TURN#${turn.id}`),
      update: { status: 'CANCELLING' },
      condition: { ...sameRun(turn), ...isLeased },
    },
  };
}

/**
 * Closes the turn with the text that was published. Where that is too much for this request, the turn is
 * marked: one without a handler reads as cancelled at once, and the next writer closes it.
 */
function endTurn(ctx) {
  const { closing, conversation, turn } = ctx.stash;
  const { event, turnChange = { status: 'CANCELLING' } } = closing;
  const isFuture = { gt: util.time.nowEpochMilliSeconds() };
  const unclaimed = { leaseUntil: unchanged(turn.leaseUntil), claimableUntil: isFuture };
  // An answer to a call raises the sequence.
  const unanswered = { lastSequence: unchanged(turn.lastSequence), pendingUntil: isFuture };
  const removed = operations.remove();
  const isWaiting = turn.status === 'WAITING';
  const wait = { pending: removed, pendingUntil: removed };
  const isActive = {
    eventCount: { eq: turn.lastPosition },
    activeTurnId: { eq: turn.id },
    deletedAt: { attributeExists: false },
  };
  const turnWrite = {
    updateItem: {
      ...conversationItem(ctx, conversation.id, `TURN#${turn.id}`),
      update: { ...turnChange, ...(isWaiting ? wait : {}), callerCredential: removed },
      condition: { ...sameRun(turn), ...(isWaiting ? unanswered : unclaimed) },
    },
  };
  if (!closing.isWhole) return [turnWrite];
  return [
    turnWrite,
    {
      putItem: {
        ...conversationItem(ctx, conversation.id, eventKey(event.position)),
        item: event,
        condition: { pk: { attributeExists: false } },
      },
    },
    {
      updateItem: {
        ...conversationItem(ctx, conversation.id, 'META'),
        update: { eventCount: event.position, activeTurnId: operations.remove() },
        condition: isActive,
      },
    },
  ];
}

/** A condition: nothing has happened to the turn since it was read. */
function sameRun(turn) {
  return { run: { eq: turn.run }, attempt: { eq: turn.attempt }, status: { eq: turn.storedStatus } };
}

// Copies of helpers in resolvers/shared.js, which says why.

const isNull = (value) => value === undefined || value === null;

/** The sort key of an event: eight digits, so that keys sort by position. */
const eventKey = (position) => `EVENT#${`${100000000 + position}`.slice(1)}`;

/** An item of a conversation, as transactWrite and transactGet name it. */
function conversationItem(ctx, conversationId, sk) {
  return { table: ctx.env.TABLE_NAME, key: { pk: `CONVERSATION#${conversationId}`, sk } };
}

/** A condition: the attribute is as it was read, also where it was not there. */
const unchanged = (value) => (isNull(value) ? { attributeExists: false } : { eq: value });
