/** Reassembly of one turn. */
import type {
  AgentBatch,
  AgentMetadata,
  Citation,
  ConversationEvent,
  ConversationUpdate,
  Failure,
  NoteCode,
  Reasoning,
  StopReason,
  ToolCall,
  ToolResult,
  ToolUse,
  Turn,
  TurnStatus,
  Usage,
} from '../generated/schema.js';
import { citationsOf, endsAnswer, impliedStatus, isEnd, membersOf } from './events.js';
import { isEqual, isSet } from './isEqual.js';
import { RequestState } from './requestState.js';
import { share } from './share.js';
import { TextBuffer, type StreamingBlock, type TextChange } from './textBuffer.js';

/** How long an open turn may bring no update before getTurn is called, in ms. */
const SILENCE_TIMEOUT = 10_000;
/** How often a derived end is checked again: the closer or a late handler may store the real end. */
const RECHECKS = 12;
/** How long such an end, and a turn that waits for tool calls, may bring nothing before, in ms. */
const CHECK_INTERVAL = 60_000;

/** A change to what is displayed of a turn. Kinds may join. */
export type Change =
  /** The user's event that the turn answers. */
  | { readonly type: 'question'; readonly event: ConversationEvent }
  /** Text to append to the answer; or the whole text of the answer, in place of what was displayed. */
  | TextChange
  /** Text to append to the reasoning of one block, which is shown beside the answer. */
  | { readonly type: 'reasoningAppended'; readonly contentBlockIndex: number; readonly text: string }
  /** The reasoning that was appended since the event before is void: an event or another attempt follows. */
  | { readonly type: 'reasoningCleared' }
  /** The reasoning of a stored event, one item for each block. */
  | { readonly type: 'reasoned'; readonly reasoning: readonly Reasoning[] }
  /** The agent calls a tool. */
  | { readonly type: 'toolCalled'; readonly toolUse: ToolUse }
  /**
   * The state of a tool call while others of its event still run. The result of a call that has ended
   * follows, unless the turn ends without it.
   */
  | { readonly type: 'toolProgress'; readonly toolCall: ToolCall }
  /**
   * Nothing runs until a user or a client has answered these tool calls. Comes again when one of them is
   * answered; the others still wait.
   */
  | { readonly type: 'waiting'; readonly toolCalls: readonly ToolCall[] }
  /** The result of a tool call. */
  | { readonly type: 'toolResult'; readonly toolResult: ToolResult }
  /** The passages that a stored event of the answer cites. Their places are in the text of its blocks. */
  | { readonly type: 'cited'; readonly citations: readonly Citation[] }
  /** A message for a person who waits for the answer. */
  | { readonly type: 'note'; readonly note: string }
  /**
   * The turn ended. Comes a second time if the first end was derived from an expired lease and an end was
   * stored later.
   */
  | { readonly type: 'ended'; readonly end: TurnEnd }
  /** The turn had ended and is answered again: it was retried or continued. */
  | { readonly type: 'reopened' };

/** How a turn ended. The text changes before it have given the stored answer, character for character. */
export interface TurnEnd {
  readonly status: TurnStatus;
  readonly stopReason: StopReason | undefined;
  readonly failure: Failure | undefined;
  readonly usage: Usage | undefined;
}

/** The arguments of getTurn. */
export interface TurnQuery {
  /** Undefined: the turn's current attempt. */
  readonly attempt: number | undefined;
  readonly afterSequence: number;
}

/**
 * A turn as it is displayed. The texts of `events` and then of `streaming` are the text that the changes
 * give. Superseded events are not in it. The object and each member keep their identity while they stay the
 * same.
 */
export interface TurnView {
  readonly turnId: string;
  readonly question: ConversationEvent | undefined;
  readonly status: TurnStatus;
  /** 0 before the first attempt. */
  readonly attempt: number;
  /** The stored events of the answer, of the agent and of its tools. */
  readonly events: readonly ConversationEvent[];
  /** What batches have brought since the last of these events: at most one item for each. */
  readonly streaming: readonly StreamingBlock[];
  /** The states of tool calls that have no result in `events`, as far as updates have told them. */
  readonly toolCalls: readonly ToolCall[];
  /** The tool calls for which the turn waits, and those of the same step that are answered. */
  readonly pending: readonly ToolCall[] | undefined;
  /** A message for a person who waits for the answer; undefined once the answer goes on. */
  readonly note: TurnNote | undefined;
  readonly end: TurnEnd | undefined;
}

export interface TurnNote {
  readonly text: string;
  readonly code: NoteCode | undefined;
}

type Phase =
  /** The attempt streams. Its base text is what was displayed before, which getTurn has not confirmed. */
  | { readonly kind: 'AWAITING_BASE' }
  /** The attempt streams after a base text that is known. */
  | { readonly kind: 'STREAMING' }
  /**
   * getTurn answered a final status without an event that ends the answer: the lease has expired, and such an
   * event may still be stored, with text that no update carried.
   */
  | { readonly kind: 'END_DERIVED'; readonly end: TurnEnd; readonly rechecksLeft: number }
  /** The event that ends the answer is stored: nothing of this attempt follows. */
  | { readonly kind: 'END_STORED'; readonly end: TurnEnd };

/** The state of an open turn that does not wait. */
type Progress = 'QUEUED' | 'RUNNING' | 'CANCELLING';

/** What a client knows of one turn, and which part of it is missing. Times are in ms since any one moment. */
export class TurnReassembly {
  #phase: Phase = { kind: 'STREAMING' };
  #attempt = 0;
  /** The sequence to apply next. */
  #nextSequence = 1;
  /** The highest sequence seen in this attempt. */
  #highestSequence = 0;
  /** How many agent events of this attempt were applied. */
  #eventsApplied = 0;
  #question: ConversationEvent | undefined;
  /** The ids of the events whose parts were reported: reasoning, tool calls, results and citations. */
  readonly #shownEvents = new Set<string>();
  /** Events whose parts are reported after those of the base, which may have the calls of these results. */
  #eventsAfterBase: ConversationEvent[] = [];
  readonly #text = new TextBuffer();
  /** Whether batches have brought reasoning that no stored event has. */
  #streamsReasoning = false;
  /**
   * The tool calls for which the attempt waits; undefined if it does not wait. Nothing of an attempt follows
   * its wait, except the states of these calls: their answers start a later attempt.
   */
  #pending: readonly ToolCall[] | undefined;
  readonly #request = new RequestState<TurnQuery>();
  readonly #changes: Change[] = [];

  #lastActivity: number;

  // What `view` shows besides.
  #progress: Progress = 'QUEUED';
  #toolCalls: readonly ToolCall[] = [];
  #note: TurnNote | undefined;
  #lastView: TurnView | undefined;

  readonly #turnId: string;

  /** A turn of which nothing is known yet. */
  constructor(turnId: string, now: number) {
    this.#turnId = turnId;
    this.#lastActivity = now;
  }

  isOpen(): boolean {
    return !('end' in this.#phase);
  }

  /** An update arrived. One without attempt and sequence belongs to no turn and is ignored. */
  onUpdate(update: ConversationUpdate, now: number): void {
    const { attempt, sequence } = update;
    if (!isSet(attempt) || !isSet(sequence) || attempt < this.#attempt) return;
    if (attempt > this.#attempt) {
      this.#startAttempt(attempt);
    } else if (this.#phase.kind === 'END_DERIVED') {
      // The real end may be stored by now.
      this.#request.request();
      return;
    } else if (this.#phase.kind === 'END_STORED') {
      return;
    }
    this.#lastActivity = now;
    this.#highestSequence = Math.max(this.#highestSequence, sequence);
    const metadata = update.metadata ?? undefined;
    const event = update.event ?? undefined;
    this.#raiseProgress(metadata?.status);
    const isWait = metadata?.status === 'WAITING';
    // The state of a call is the same wherever it comes in the order.
    if (this.#pending && isWait && metadata.toolCall) this.#applyToolCall(metadata.toolCall);
    const isIncomplete = this.#applyInOrder(sequence, metadata, event);
    if (this.isOpen() && isIncomplete) {
      // The response under way may be older than the update, and then the next check is a minute away.
      if (isWait) this.markStale();
      else this.#request.request();
    }
  }

  /** Something may have been missed: calls getTurn. */
  markStale(): void {
    this.#request.markStale();
  }

  /** getTurn answered the query that was polled last. */
  onTurn(turn: Turn, now: number): void {
    const answered = this.#request.complete();
    if (!answered) return;
    this.#lastActivity = now;
    const before = { attempt: this.#attempt, nextSequence: this.#nextSequence };
    this.#showQuestion(turn.question ?? undefined);
    if (turn.attempt > this.#attempt) this.#startAttempt(turn.attempt);
    const { query } = answered;
    const isOfOtherAttempt = query.attempt !== undefined && query.attempt !== this.#attempt;
    const hasMoreBatches = turn.hasMoreBatches === true;
    if (turn.attempt === this.#attempt && this.#phase.kind !== 'END_STORED') {
      this.#mergeTurn(turn, !isOfOtherAttempt && !hasMoreBatches);
    }
    const isIncomplete =
      isOfOtherAttempt ||
      hasMoreBatches ||
      this.#phase.kind === 'AWAITING_BASE' ||
      this.#highestSequence >= this.#nextSequence;
    if (this.isOpen() && isIncomplete && this.#request.isIdle()) {
      const hasProgressed = this.#attempt !== before.attempt || this.#nextSequence !== before.nextSequence;
      if (hasProgressed) this.#request.request();
      else this.#request.backOff(now);
    }
  }

  /** The query that was polled last failed. */
  onTurnFailed(now: number): void {
    this.#request.backOff(now);
  }

  advance(now: number): void {
    this.#request.advance(now);
    const silenceEndsAt = this.#silenceEndsAt();
    if (silenceEndsAt === undefined || now < silenceEndsAt) return;
    if (this.#phase.kind === 'END_DERIVED') {
      this.#phase = { ...this.#phase, rechecksLeft: this.#phase.rechecksLeft - 1 };
    }
    this.#request.request();
  }

  /** When to call `advance`, if nothing else happens before. */
  wakeAt(): number | undefined {
    return this.#request.retryAt() ?? this.#silenceEndsAt();
  }

  /** The arguments to call getTurn with now. `onTurn` or `onTurnFailed` follows. */
  pollQuery(): TurnQuery | undefined {
    const query: TurnQuery =
      this.#attempt === 0
        ? { attempt: undefined, afterSequence: 0 }
        : { attempt: this.#attempt, afterSequence: this.#nextSequence - 1 };
    return this.#request.poll(query) ? query : undefined;
  }

  pollChange(): Change | undefined {
    return this.#changes.shift();
  }

  view(): TurnView {
    this.#lastView = share<TurnView>(this.#lastView, {
      turnId: this.#turnId,
      question: this.#question,
      status: this.#status(),
      attempt: this.#attempt,
      events: this.#text.events,
      streaming: this.#text.streaming,
      toolCalls: this.#toolCalls,
      pending: this.#pending,
      note: this.#note,
      end: this.#end(),
    });
    return this.#lastView;
  }

  #status(): TurnStatus {
    return this.#end()?.status ?? (this.#pending ? 'WAITING' : this.#progress);
  }

  #end(): TurnEnd | undefined {
    return 'end' in this.#phase ? this.#phase.end : undefined;
  }

  #silenceEndsAt(): number | undefined {
    const hasEnded = !this.isOpen();
    const isRechecked = this.#phase.kind === 'END_DERIVED' && this.#phase.rechecksLeft > 0;
    if (!this.#request.isIdle() || (hasEnded && !isRechecked)) return undefined;
    return this.#lastActivity + (hasEnded || this.#pending ? CHECK_INTERVAL : SILENCE_TIMEOUT);
  }

  #startAttempt(attempt: number): void {
    const hasPreviousEnded = !this.isOpen();
    if (hasPreviousEnded) this.#changes.push({ type: 'reopened' });
    const hasPreviousWaited = this.#pending !== undefined;
    // The results of the calls that were answered follow.
    this.#toolCalls = this.#pending?.filter((call) => !needsAnswer(call)) ?? [];
    this.#pending = undefined;
    this.#clearReasoning();
    this.#pushChange(this.#text.startAttempt(hasPreviousEnded || hasPreviousWaited));
    this.#phase = { kind: 'AWAITING_BASE' };
    this.#attempt = attempt;
    this.#nextSequence = 1;
    this.#highestSequence = 0;
    this.#eventsApplied = 0;
    this.#eventsAfterBase = [];
    this.#progress = 'QUEUED';
    this.#note = undefined;
  }

  #setBase(events: readonly ConversationEvent[]): void {
    if (this.#phase.kind === 'AWAITING_BASE' && events.length === 0) this.#toolCalls = [];
    this.#phase = { kind: 'STREAMING' };
    this.#pushChange(this.#text.setBase(events));
  }

  /** Applies an update if it is the next one. Returns whether getTurn may know more. */
  #applyInOrder(
    sequence: number,
    metadata: AgentMetadata | undefined,
    event: ConversationEvent | undefined,
  ): boolean {
    // An end can be published under the number of a stored batch that was never published.
    if (sequence < this.#nextSequence) return endStatus(metadata, event) !== undefined;
    if (sequence > this.#nextSequence) return true;
    this.#apply(metadata, event);
    const awaitsBase = this.#phase.kind === 'AWAITING_BASE';
    // A stored batch with these calls does not say so: it is stored before the wait begins.
    if (!awaitsBase && metadata?.status === 'WAITING' && metadata.pending) this.#waitFor(metadata.pending);
    return awaitsBase;
  }

  #apply(metadata: AgentMetadata | undefined, event: ConversationEvent | undefined): void {
    this.#nextSequence += 1;
    if (metadata) this.#applyMetadata(metadata);
    const end = endStatus(metadata, event);
    if (!event) {
      if (end) this.markStale();
    } else if (event.sender.kind === 'USER') {
      this.#applyQuestion(metadata, event);
    } else if (!end) {
      this.#applyEvent(event);
    } else if (this.#question && this.#phase.kind === 'STREAMING') {
      this.#applyLastEvent(event, end);
    } else {
      this.markStale();
    }
  }

  #applyMetadata(metadata: AgentMetadata): void {
    const { note } = metadata;
    if (note) this.#changes.push({ type: 'note', note });
    if (metadata.toolCall) this.#applyToolCall(metadata.toolCall);
    this.#append(metadata);
    this.#note = note ? { text: note, code: metadata.noteCode ?? undefined } : undefined;
  }

  #append({ agentPartialReasoning, agentPartialMessage, citations, ...metadata }: AgentMetadata): void {
    const isReasoning = isSet(agentPartialReasoning);
    const text = agentPartialReasoning ?? agentPartialMessage ?? '';
    const contentBlockIndex = metadata.contentBlockIndex ?? 0;
    if (!text && !citations?.length) return;
    const type = isReasoning ? 'reasoning' : 'text';
    this.#text.append({ type, contentBlockIndex, text, citations: citations ?? [] });
    this.#streamsReasoning ||= isReasoning;
    if (!text) return;
    this.#changes.push({ type: isReasoning ? 'reasoningAppended' : 'appended', contentBlockIndex, text });
  }

  /** The stored event has all of its reasoning. One that replaces what a guardrail has blocked has none. */
  #clearReasoning(): void {
    if (this.#streamsReasoning) this.#changes.push({ type: 'reasoningCleared' });
    this.#streamsReasoning = false;
  }

  #applyToolCall(toolCall: ToolCall): void {
    if (this.#pending) {
      this.#waitFor(this.#pending.map((known) => (known.id === toolCall.id ? toolCall : known)));
    } else {
      this.#changes.push({ type: 'toolProgress', toolCall });
      this.#toolCalls = [...this.#toolCalls.filter((known) => known.id !== toolCall.id), toolCall];
    }
  }

  /** The turn waits for these calls. A call that was answered stays so: what says otherwise is older. */
  #waitFor(calls: readonly ToolCall[]): void {
    const known = this.#pending ?? [];
    const pending = calls.map((call) => {
      const old = known.find((other) => other.id === call.id);
      return old && (!needsAnswer(old) || isEqual(old, call)) ? old : call;
    });
    if (this.#pending && isEqual(this.#pending, pending)) return;
    this.#changes.push({ type: 'waiting', toolCalls: pending });
    this.#pending = pending;
  }

  /** The first update of an attempt carries the question and whether the attempt continues a base text. */
  #applyQuestion(metadata: AgentMetadata | undefined, question: ConversationEvent): void {
    this.#showQuestion(question);
    if (metadata?.continues !== true) this.#setBase([]);
  }

  #showQuestion(question: ConversationEvent | undefined): void {
    if (this.#question || !question) return;
    this.#question = question;
    this.#changes.push({ type: 'question', event: question });
  }

  #applyEvent(event: ConversationEvent): void {
    this.#eventsApplied += 1;
    this.#clearReasoning();
    this.#pushChange(this.#text.commit(event));
    if (this.#phase.kind === 'AWAITING_BASE') this.#eventsAfterBase.push(event);
    else this.#showParts(event);
  }

  /** Reports the reasoning, tool calls, results and citations of an event once. */
  #showParts(event: ConversationEvent): void {
    if (this.#shownEvents.has(event.id)) return;
    this.#shownEvents.add(event.id);
    const reasoning = membersOf(event, 'reasoning');
    const toolResults = membersOf(event, 'toolResult');
    const citations = citationsOf(event);
    if (reasoning.length > 0) this.#changes.push({ type: 'reasoned', reasoning });
    for (const toolUse of membersOf(event, 'toolUse')) this.#changes.push({ type: 'toolCalled', toolUse });
    for (const toolResult of toolResults) this.#changes.push({ type: 'toolResult', toolResult });
    if (citations.length > 0) this.#changes.push({ type: 'cited', citations });
    const results = new Set(toolResults.map((result) => result.toolUseId));
    this.#toolCalls = this.#toolCalls.filter((call) => !results.has(call.id));
  }

  #applyLastEvent(event: ConversationEvent, status: TurnStatus): void {
    this.#clearReasoning();
    this.#pushChange(this.#text.finish(event));
    this.#showParts(event);
    const { stopReason, failure, usage } = event;
    this.#finish('END_STORED', {
      status,
      stopReason: stopReason ?? undefined,
      failure: failure ?? undefined,
      usage: usage ?? undefined,
    });
  }

  #mergeTurn(turn: Turn, hasAllBatches: boolean): void {
    const answer = turn.answer ?? [];
    const { base, own } = splitAnswer(answer, turn.attempt);
    const lastEvent = own.at(-1);
    if (isEnd(turn.status) && lastEvent && endsAnswer(lastEvent)) {
      this.#clearReasoning();
      this.#pushChange(this.#text.replace(answer));
      for (const event of answer) this.#showParts(event);
      this.#finish('END_STORED', turnEnd(turn, lastEvent));
      return;
    }
    if (!this.isOpen()) return;
    this.#raiseProgress(turn.status);
    this.#setBase(base);
    const afterBase = this.#eventsAfterBase;
    this.#eventsAfterBase = [];
    for (const event of [...base, ...afterBase]) this.#showParts(event);
    this.#mergeBatches(turn.batches ?? [], own);
    const isWaiting = turn.status === 'WAITING';
    if ((isEnd(turn.status) || isWaiting) && hasAllBatches) {
      for (const event of own.slice(this.#eventsApplied)) this.#applyEvent(event);
    }
    if (isWaiting && hasAllBatches) {
      // A turn may wait for longer than its batches are kept.
      this.#nextSequence = Math.max(this.#nextSequence, this.#highestSequence + 1);
      this.#waitFor(turn.pending ?? []);
    }
    if (isEnd(turn.status) && hasAllBatches) this.#finish('END_DERIVED', turnEnd(turn, lastEvent));
  }

  /** A sequence missing among the stored batches is that of an agent event: those are stored as events. */
  #mergeBatches(batches: readonly AgentBatch[], ownEvents: readonly ConversationEvent[]): void {
    for (const batch of batches) {
      if (batch.attempt !== this.#attempt) continue;
      while (batch.sequence > this.#nextSequence) {
        const event = ownEvents[this.#eventsApplied];
        if (!event) return;
        this.#applyEvent(event);
        this.#nextSequence += 1;
      }
      if (batch.sequence === this.#nextSequence) this.#apply(batch.metadata, undefined);
    }
  }

  #finish(kind: 'END_DERIVED' | 'END_STORED', end: TurnEnd): void {
    this.#phase = kind === 'END_DERIVED' ? { kind, end, rechecksLeft: RECHECKS } : { kind, end };
    this.#pending = undefined;
    this.#note = undefined;
    this.#request.cancelRetry();
    this.#changes.push({ type: 'ended', end });
  }

  /** Within an attempt the states follow one another in this order, whatever arrives first. */
  #raiseProgress(status: TurnStatus | undefined): void {
    if (status === 'CANCELLING') this.#progress = 'CANCELLING';
    else if (status === 'RUNNING' && this.#progress === 'QUEUED') this.#progress = 'RUNNING';
  }

  #pushChange(change: Change | undefined): void {
    if (change) this.#changes.push(change);
  }
}

function needsAnswer(call: ToolCall): boolean {
  return call.status === 'APPROVAL_NEEDED' || call.status === 'CLIENT_NEEDED';
}

/** The events of earlier runs, and those of the attempt. */
function splitAnswer(
  answer: readonly ConversationEvent[],
  attempt: number,
): { base: readonly ConversationEvent[]; own: readonly ConversationEvent[] } {
  const isOfEarlierRun = (event: ConversationEvent) =>
    typeof event.attempt === 'number' && event.attempt < attempt;
  const firstOwn = answer.findIndex((event) => !isOfEarlierRun(event));
  const count = firstOwn === -1 ? answer.length : firstOwn;
  return { base: answer.slice(0, count), own: answer.slice(count) };
}

/** `lastEvent` is the last stored event of the turn's current attempt. */
function turnEnd(turn: Turn, lastEvent: ConversationEvent | undefined): TurnEnd {
  return {
    status: turn.status,
    stopReason: lastEvent?.stopReason ?? undefined,
    failure: turn.failure ?? lastEvent?.failure ?? undefined,
    usage: turn.usage ?? lastEvent?.usage ?? undefined,
  };
}

/** The final status that an update carries, if it ends the turn. */
function endStatus(
  metadata: AgentMetadata | undefined,
  event: ConversationEvent | undefined,
): TurnStatus | undefined {
  const status = metadata?.status ?? (event && impliedStatus(event));
  return status && isEnd(status) ? status : undefined;
}
