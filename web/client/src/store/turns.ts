/**
 * What is known of a conversation's turns: from stored events, from the rule, and from messages that are
 * being sent. Functions return a new map; a turn keeps its identity while it stays the same.
 */
import type { ConversationEvent, TurnStatus } from '../generated/schema.js';
import { impliedStatus, isEnd } from '../reassembly/events.js';
import type { TurnView } from '../reassembly/index.js';
import type { UserMessage } from './snapshot.js';

/** More than the position of any event. */
const MAX_POSITION = 1e9;

export interface TurnRecord {
  readonly id: string;
  /** The user's event as history has it. */
  readonly question?: ConversationEvent;
  /** The events of the answer as history has them: not superseded, in order. */
  readonly answer: readonly ConversationEvent[];
  /** The turn as the rule has it, which is newer than history. */
  readonly view?: TurnView;
  /** What the API has told of a run, until the rule has reached its attempt. */
  readonly started?: StartedRun;
  /** Whether this store has asked to stop the answer that is being made. */
  readonly isCancelled?: boolean;
  /** A message of this store, until its event is known. */
  readonly local?: LocalMessage;
}

export interface StartedRun {
  readonly status: TurnStatus;
  readonly attempt: number;
  /** Whether the answer is made anew. */
  readonly isRetry?: boolean;
}

export interface LocalMessage {
  readonly text: string;
  readonly delivery: UserMessage['delivery'];
  /** The turn whose message this one replaces. */
  readonly replaces?: string;
}

export type Turns = ReadonlyMap<string, TurnRecord>;

export function withEvents(turns: Turns, events: readonly ConversationEvent[]): Turns {
  const next = new Map(turns);
  for (const event of events) {
    const id = event.turnId ?? event.id;
    next.set(id, withEvent(next.get(id) ?? { id, answer: [] }, event));
  }
  return next;
}

export function withViews(turns: Turns, views: readonly TurnView[]): Turns {
  const changed = views.filter((view) => turns.get(view.turnId)?.view !== view);
  if (changed.length === 0) return turns;
  const next = new Map(turns);
  for (const view of changed) {
    const turn = next.get(view.turnId) ?? empty(view.turnId);
    next.set(view.turnId, { ...turn, view, isCancelled: turn.isCancelled === true && !view.end });
  }
  return next;
}

/** With a member of a turn changed, which is added if it is not there. */
export function withTurn(turns: Turns, id: string, change: Partial<TurnRecord>): Turns {
  return new Map(turns).set(id, { ...(turns.get(id) ?? empty(id)), ...change });
}

export function withoutTurn(turns: Turns, id: string): Turns {
  const next = new Map(turns);
  next.delete(id);
  return next;
}

/**
 * Those that are shown, in the order of the conversation. Messages without an event come last, in the order
 * in which they were sent.
 */
export function shownTurns(turns: Turns): TurnRecord[] {
  const records = [...turns.values()];
  const replaced = new Set(records.map((turn) => questionOf(turn)?.replacesTurnId ?? turn.local?.replaces));
  return records
    .filter((turn) => !replaced.has(turn.id) && !questionOf(turn)?.superseded)
    .map((turn) => ({ turn, position: firstPosition(turn) ?? MAX_POSITION }))
    .sort((one, other) => one.position - other.position)
    .map(({ turn }) => turn);
}

/** The positions of the oldest and of the newest event; without events, `newest` is 0 and `oldest` is past all. */
export function range(turns: Turns): { oldest: number; newest: number } {
  const records = [...turns.values()];
  return {
    oldest: records.reduce((oldest, turn) => Math.min(oldest, firstPosition(turn) ?? oldest), MAX_POSITION),
    newest: records.reduce((newest, turn) => Math.max(newest, lastPosition(turn) ?? 0), 0),
  };
}

/** The rule's view, where it has more than history has. */
export function currentView(turn: TurnRecord): TurnView | undefined {
  const { view, question, started } = turn;
  if (isAwaited(turn) && started?.isRetry) return undefined;
  return view?.question || !question ? view : undefined;
}

export function questionOf(turn: TurnRecord): ConversationEvent | undefined {
  return turn.view?.question ?? turn.question;
}

/** The stored events of the answer. */
export function answerOf(turn: TurnRecord): readonly ConversationEvent[] {
  if (isAwaited(turn) && turn.started?.isRetry) return [];
  return currentView(turn)?.events ?? turn.answer;
}

/** Undefined for a message that the API has not taken, and where the events that were read do not say it. */
export function statusOf(turn: TurnRecord): TurnStatus | undefined {
  const { started } = turn;
  if (isAwaited(turn)) return started?.status;
  const known = currentView(turn)?.status ?? started?.status;
  const last = turn.answer.at(-1);
  return known ?? (last && impliedStatus(last));
}

/** Whether the rule has not reached the attempt that the API has started. */
function isAwaited({ started, view }: TurnRecord): boolean {
  return started !== undefined && (view?.attempt ?? 0) < started.attempt;
}

export function isOpen(turn: TurnRecord): boolean {
  const status = statusOf(turn);
  return status !== undefined && !isEnd(status);
}

function empty(id: string): TurnRecord {
  return { id, answer: [] };
}

function withEvent(turn: TurnRecord, event: ConversationEvent): TurnRecord {
  if (event.sender.kind === 'USER') return { ...turn, question: event };
  const others = turn.answer.filter(({ id }) => id !== event.id);
  if (event.superseded) return { ...turn, answer: others };
  return { ...turn, answer: [...others, event].sort((one, other) => one.position - other.position) };
}

function firstPosition(turn: TurnRecord): number | undefined {
  return (questionOf(turn) ?? answerOf(turn)[0])?.position;
}

export function lastPosition(turn: TurnRecord): number | undefined {
  return (answerOf(turn).at(-1) ?? questionOf(turn))?.position;
}
