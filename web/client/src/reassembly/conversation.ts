/** Reassembly of a conversation: which turns there are, and the reassembly of each. */
import type { ConversationEvent, ConversationUpdate, Turn } from '../generated/schema.js';
import { RequestState } from './requestState.js';
import { share } from './share.js';
import { TurnReassembly, type Change, type TurnQuery, type TurnView } from './turn.js';

/** How many turns are kept, so that late updates of ended turns are recognized. Open turns all are. */
const MAX_TURNS = 16;
/** How many ids of removed turns are kept: more than become known while a response is under way. */
const MAX_REMOVED_IDS = 1024;
/** How often to check for missed turns without a reconnect, in ms: every update of a turn may be lost. */
const CHECK_INTERVAL = 300_000;

/** A change to what is displayed of a conversation. */
export type ConversationChange = TurnChange | TitleChange;

/** The conversation had no title and has this one now. */
export interface TitleChange {
  readonly title: string;
}

/** A change to what is displayed of one turn. */
export interface TurnChange {
  readonly turnId: string;
  readonly change: Change;
}

/** A request to send to the API. */
export type Fetch =
  /** The active turn, and the events after a position or, with undefined, the newest event. */
  | { readonly type: 'events'; readonly after: number | undefined }
  /** A turn, by getTurn. */
  | { readonly type: 'turn'; readonly turnId: string; readonly query: TurnQuery };

/** The response to a fetch of events: what getConversation answers. */
export interface ConversationEvents {
  readonly activeTurn?: { readonly id: string } | null;
  readonly events?: { readonly items: readonly ConversationEvent[]; readonly hasMore: boolean } | null;
}

/** Up to which event the conversation is known. */
type Position =
  /** Events were not fetched yet. `lowestSeen` is the lowest position seen in updates meanwhile. */
  | { readonly kind: 'UNKNOWN'; readonly lowestSeen: number | undefined }
  /** No event up to `newest` was missed. Events were last fetched at `checkedAt`. */
  | { readonly kind: 'KNOWN'; readonly newest: number; readonly checkedAt: number };

interface TurnEntry {
  readonly id: string;
  /** The highest position seen of the turn's events. */
  position: number | undefined;
  readonly reassembly: TurnReassembly;
}

/**
 * What a client knows of the conversation that it follows: from now on, the active turn, if there is one, and
 * every later turn. Times are in ms since any one moment.
 *
 * After each call of a method, poll all fetches and changes. `wakeAt` says when to call `advance`.
 */
export class ConversationReassembly {
  /** In the order in which the client first saw them, which can differ from the order of the conversation. */
  readonly #turns: TurnEntry[] = [];
  /**
   * Turns that ended long ago, oldest first. Updates and responses about them are ignored: only the last turn
   * of a conversation is answered again, and a late response would display such a turn a second time.
   */
  #removedIds: string[] = [];
  #position: Position = { kind: 'UNKNOWN', lowestSeen: undefined };
  /** The query is the position after which events are fetched. */
  readonly #eventsRequest = new RequestState<number | undefined>();
  readonly #changes: ConversationChange[] = [];
  #lastViews: readonly TurnView[] = [];

  /** The subscription started, for the first time or again: updates before may have been missed. */
  onSubscribed(): void {
    this.#checkForMissedUpdates();
  }

  /**
   * The caller has started the turn, or started it again: it is reported to its end even if no update
   * arrives.
   */
  expectTurn(turnId: string, now: number): void {
    this.#removedIds = this.#removedIds.filter((removed) => removed !== turnId);
    const isKnown = this.#turns.some((turn) => turn.id === turnId);
    const turn = this.#turn(turnId, now);
    if (isKnown) turn.reassembly.markStale();
  }

  onUpdate(update: ConversationUpdate, now: number): void {
    const event = update.event ?? undefined;
    if (update.title) this.#changes.push({ title: update.title });
    if (event) this.#trackPosition(event);
    const { turnId } = update;
    if (!turnId || this.#isRemoved(turnId)) return;
    const turn = this.#turn(turnId, now);
    if (event) trackTurnPosition(turn, event);
    turn.reassembly.onUpdate(update, now);
    this.#collectChanges();
  }

  /** The response to a fetch of a turn. */
  onTurn(turn: Turn, now: number): void {
    const events = [...(turn.question ? [turn.question] : []), ...(turn.answer ?? [])];
    for (const event of events) this.#trackPosition(event);
    if (this.#isRemoved(turn.id)) return;
    const entry = this.#turn(turn.id, now);
    for (const event of events) trackTurnPosition(entry, event);
    entry.reassembly.onTurn(turn, now);
    this.#collectChanges();
  }

  onTurnFailed(turnId: string, now: number): void {
    if (!this.#isRemoved(turnId)) this.#turn(turnId, now).reassembly.onTurnFailed(now);
  }

  /** The response to a fetch of events. */
  onEvents(response: ConversationEvents, now: number): void {
    if (!this.#eventsRequest.complete()) return;
    const events = response.events?.items ?? [];
    const hasMore = response.events?.hasMore === true;
    const newest = this.#mergeEvents(events, hasMore, now);
    this.#position = { kind: 'KNOWN', newest, checkedAt: now };
    if (response.activeTurn) this.#turn(response.activeTurn.id, now).reassembly.markStale();
  }

  onEventsFailed(now: number): void {
    this.#eventsRequest.backOff(now);
  }

  advance(now: number): void {
    this.#eventsRequest.advance(now);
    const checkAt = this.#checkAt();
    if (checkAt !== undefined && now >= checkAt) this.#checkForMissedUpdates();
    for (const turn of this.#turns) turn.reassembly.advance(now);
  }

  /** When to call `advance`, if nothing else happens before. */
  wakeAt(): number | undefined {
    const turns = this.#turns.map((turn) => turn.reassembly.wakeAt());
    const times = [...turns, this.#eventsRequest.retryAt(), this.#checkAt()].filter((at) => at !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * The next request to send. `onEvents` or `onEventsFailed`, or else `onTurn` or `onTurnFailed`, follows
   * each.
   */
  pollFetch(): Fetch | undefined {
    const after = this.#position.kind === 'KNOWN' ? this.#position.newest : undefined;
    if (this.#eventsRequest.poll(after)) return { type: 'events', after };
    for (const turn of this.#turns) {
      const query = turn.reassembly.pollQuery();
      if (query) return { type: 'turn', turnId: turn.id, query };
    }
    return undefined;
  }

  pollChange(): ConversationChange | undefined {
    return this.#changes.shift();
  }

  /**
   * The turns that are kept, in the order in which the client first saw them. The list and each view keep
   * their identity while they stay the same. A view can change without a change of `pollChange`, and a turn
   * that ended long ago is left out.
   */
  views(): readonly TurnView[] {
    const views = this.#turns.map((turn) => turn.reassembly.view());
    this.#lastViews = share(this.#lastViews, views);
    return this.#lastViews;
  }

  #mergeEvents(events: readonly ConversationEvent[], hasMore: boolean, now: number): number {
    const lastPosition = events.reduce((last, event) => Math.max(last, event.position), 0);
    if (this.#position.kind === 'UNKNOWN') {
      const { lowestSeen } = this.#position;
      if (lowestSeen === undefined) return lastPosition;
      // Events between the first update and this response may have been missed.
      this.#eventsRequest.request();
      return Math.min(lastPosition, Math.max(lowestSeen - 1, 0));
    }
    const { newest } = this.#position;
    for (const event of events) this.#markTurnStale(event, now);
    if (hasMore && events.length > 0) this.#eventsRequest.request();
    return Math.max(newest, lastPosition);
  }

  /**
   * Fetches only the newest of the ended turns, because no other can have been reopened. A turn whose
   * position is unknown may be the newest.
   */
  #checkForMissedUpdates(): void {
    this.#eventsRequest.markStale();
    const newest = Math.max(...this.#turns.map((turn) => turn.position ?? 0));
    for (const turn of this.#turns) {
      const isNewest = turn.position === undefined || turn.position === newest;
      if (turn.reassembly.isOpen() || isNewest) turn.reassembly.markStale();
    }
  }

  #checkAt(): number | undefined {
    if (this.#position.kind === 'UNKNOWN' || !this.#eventsRequest.isIdle()) return undefined;
    return this.#position.checkedAt + CHECK_INTERVAL;
  }

  /** Positions are contiguous: a gap proves that events were missed. */
  #trackPosition({ position }: ConversationEvent): void {
    if (this.#position.kind === 'UNKNOWN') {
      const { lowestSeen } = this.#position;
      this.#position = { kind: 'UNKNOWN', lowestSeen: Math.min(lowestSeen ?? position, position) };
    } else if (position > this.#position.newest + 1) {
      this.#eventsRequest.markStale();
    } else {
      this.#position = { ...this.#position, newest: Math.max(position, this.#position.newest) };
    }
  }

  #markTurnStale(event: ConversationEvent, now: number): void {
    const { turnId } = event;
    if (!turnId || this.#isRemoved(turnId)) return;
    const turn = this.#turn(turnId, now);
    trackTurnPosition(turn, event);
    turn.reassembly.markStale();
  }

  /** The entry of a turn, added if the turn is new. A new turn proves that the turns before it have ended. */
  #turn(turnId: string, now: number): TurnEntry {
    const known = this.#turns.find((turn) => turn.id === turnId);
    if (known) return known;
    for (const { reassembly } of this.#turns) {
      if (reassembly.isOpen()) reassembly.markStale();
    }
    this.#removeOldTurns();
    const entry: TurnEntry = { id: turnId, position: undefined, reassembly: new TurnReassembly(turnId, now) };
    this.#turns.push(entry);
    return entry;
  }

  #removeOldTurns(): void {
    while (this.#turns.length >= MAX_TURNS) {
      const index = this.#turns.findIndex((turn) => !turn.reassembly.isOpen());
      const [removed] = index === -1 ? [] : this.#turns.splice(index, 1);
      if (!removed) return;
      this.#removedIds.push(removed.id);
      if (this.#removedIds.length > MAX_REMOVED_IDS) this.#removedIds.shift();
    }
  }

  #isRemoved(turnId: string): boolean {
    return this.#removedIds.includes(turnId);
  }

  #collectChanges(): void {
    for (const turn of this.#turns) {
      for (let change = turn.reassembly.pollChange(); change; change = turn.reassembly.pollChange()) {
        this.#changes.push({ turnId: turn.id, change });
      }
    }
  }
}

function trackTurnPosition(turn: TurnEntry, event: ConversationEvent): void {
  turn.position = Math.max(turn.position ?? event.position, event.position);
}
