/** What a store knows, and the snapshot that follows from it. */
import type { ParlanceError } from '../errors.js';
import type {
  ActiveTurn,
  Conversation,
  ConversationEvent,
  ConversationWithEvents,
  EventPage,
  ToolCall,
} from '../generated/schema.js';
import type { ConnectionState } from '../transport/transport.js';
import { present } from './present.js';
import type { ConversationDetails, ConversationSnapshot, ConversationStatus, Message } from './snapshot.js';
import {
  answerOf,
  currentView,
  isOpen,
  lastPosition,
  questionOf,
  range,
  shownTurns,
  statusOf,
  withEvents,
  withTurn,
  type TurnRecord,
  type Turns,
} from './turns.js';

/** How many events are kept. More are not loaded; where new ones come, the oldest turns are dropped. */
export const MAX_EVENTS = 10_000;
/** How many more there are before some are dropped: more than a page, which would be dropped when loaded. */
const SLACK = 500;

export interface State {
  readonly id?: string;
  readonly conversation?: ConversationDetails;
  readonly phase: ConversationSnapshot['phase'];
  readonly error?: ParlanceError;
  readonly connection: ConnectionState;
  readonly turns: Turns;
  /** Whether the API has events before those that are loaded. */
  readonly hasEarlier: boolean;
  readonly isLoadingEarlier: boolean;
  /** Whether the newest turn is being started again. */
  readonly isRestarting: boolean;
}

export const NEW: State = {
  phase: 'NEW',
  connection: 'CLOSED',
  turns: new Map(),
  hasEarlier: false,
  isLoadingEarlier: false,
  isRestarting: false,
};

/** With a conversation that was read, and its newest events instead of those that were known. */
export function withConversation(state: State, conversation: ConversationWithEvents): State {
  const { activeTurn, events } = conversation;
  return {
    ...state,
    id: conversation.id,
    phase: 'READY',
    conversation: detailsOf(conversation),
    turns: withPage(withoutEvents(state.turns), events?.items ?? [], activeTurn),
    hasEarlier: events?.hasMore === true,
  };
}

/** With the events after those that were known. */
export function withLaterEvents(state: State, { activeTurn, events }: EventPage): State {
  return { ...state, turns: withPage(state.turns, events?.items ?? [], activeTurn) };
}

function withPage(turns: Turns, events: readonly ConversationEvent[], active: ActiveTurn | null): Turns {
  const all = withEvents(turns, events);
  // What the API has told when it started the turn says more.
  if (!active || all.get(active.id)?.started) return all;
  return withTurn(all, active.id, { started: { status: active.status, attempt: 0 } });
}

/** Without the oldest turns where there are too many events. */
export function withinBound(state: State): State {
  const { oldest, newest } = range(state.turns);
  if (newest - oldest < MAX_EVENTS + SLACK) return state;
  const first = newest - MAX_EVENTS + 1;
  const newestTurns = [...state.turns].filter(([, turn]) => (lastPosition(turn) ?? first) >= first);
  return { ...state, turns: new Map(newestTurns), hasEarlier: true };
}

/** Messages that the API has not taken, or whose event is not known yet. */
function withoutEvents(turns: Turns): Turns {
  return new Map([...turns].filter(([, turn]) => turn.local && !questionOf(turn)));
}

export function detailsOf(conversation: Conversation | ConversationWithEvents): ConversationDetails {
  const { id, title, agentId, createdAt, lastActivityAt, ownerId, access } = conversation;
  return {
    id,
    ...present({ title, ownerId, access }),
    agentId,
    createdAt,
    lastActivityAt,
    participants: 'participants' in conversation ? (conversation.participants ?? []) : [],
  };
}

/** The turn that the API has taken last. */
export function newestTurn(turns: Turns): TurnRecord | undefined {
  return shownTurns(turns)
    .filter((turn) => statusOf(turn) !== undefined || questionOf(turn))
    .at(-1);
}

/** The calls for whose answers a turn waits. */
export function pendingOf(turn: TurnRecord | undefined): readonly ToolCall[] {
  if (!turn || statusOf(turn) !== 'WAITING') return [];
  return currentView(turn)?.pending ?? [];
}

export function canWrite({ conversation }: State): boolean {
  return conversation?.access !== 'READ';
}

/** `messagesOf` is called once for each turn, and may remember. */
export function snapshotOf(
  state: State,
  messagesOf: (turn: TurnRecord) => readonly Message[],
): ConversationSnapshot {
  const { id, conversation, phase, error, connection, turns, isLoadingEarlier } = state;
  const newest = newestTurn(turns);
  const status = conversationStatus(state, newest);
  const note =
    newest && (status === 'QUEUED' || status === 'RUNNING') ? currentView(newest)?.note : undefined;
  const { oldest, newest: last } = range(turns);
  const canRestart = status === 'IDLE' && newest !== undefined && canWrite(state);
  return {
    ...present({
      id,
      conversation: conversation && withActivity(conversation, newest),
      error: phase === 'FAILED' ? error : undefined,
    }),
    phase,
    connection,
    messages: shownTurns(turns).flatMap(messagesOf),
    hasEarlier: state.hasEarlier && last - oldest < MAX_EVENTS,
    isLoadingEarlier,
    status,
    pending: pendingOf(newest),
    ...(note && { note: { text: note.text, ...present({ code: note.code }) } }),
    canRetry: canRestart,
    canContinue: canRestart && isUnfinished(newest),
    canWrite: canWrite(state),
  };
}

/** With the time of the newest event, which may be later than when the conversation was read. */
function withActivity(
  conversation: ConversationDetails,
  newest: TurnRecord | undefined,
): ConversationDetails {
  const last = newest && (answerOf(newest).at(-1) ?? questionOf(newest))?.createdAt;
  const isLater = last !== undefined && last > conversation.lastActivityAt;
  return isLater ? { ...conversation, lastActivityAt: last } : conversation;
}

function conversationStatus(state: State, newest: TurnRecord | undefined): ConversationStatus {
  const isSending = [...state.turns.values()].some(({ local }) => local?.delivery === 'SENDING');
  if (state.isRestarting || isSending) return 'SENDING';
  const status = newest && statusOf(newest);
  if (!newest || !status || !isOpen(newest)) return 'IDLE';
  if (newest.isCancelled) return 'CANCELLING';
  return status === 'QUEUED' || status === 'WAITING' || status === 'CANCELLING' ? status : 'RUNNING';
}

/** Whether the model has more to say: it was stopped, by a user, a limit or a failure. */
function isUnfinished(turn: TurnRecord): boolean {
  const last = answerOf(turn).at(-1);
  return last !== undefined && last.stopReason !== 'END_TURN' && last.stopReason !== 'STOP_SEQUENCE';
}
