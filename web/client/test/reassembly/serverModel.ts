/** A small model of the API: what it stores of one conversation, what it publishes and what it answers. */
import type {
  AgentBatch,
  AgentMetadata,
  ContentBlock,
  ConversationEvent,
  ConversationUpdate,
  SenderKind,
  StopReason,
  ToolCall,
  Turn,
  TurnStatus,
} from '../../src/generated/schema.js';
import { isEnd, textOf } from '../../src/reassembly/events.js';
import type { ConversationEvents, TurnQuery } from '../../src/reassembly/index.js';

const BATCHES_PER_PAGE = 3;
const EVENTS_PER_PAGE = 2;

/** A turn as the table holds it. */
export interface StoredTurn {
  readonly id: string;
  readonly question: ConversationEvent;
  status: TurnStatus;
  run: number;
  attempt: number;
  sequence: number;
  /** Whether the next attempt keeps the answer's events. */
  continues: boolean;
  answer: ConversationEvent[];
  /** The events up to this position are kept by later attempts of the run. */
  keptPosition: number;
  batches: AgentBatch[];
  /** The attempt's text after its last event. */
  tail: string;
  /** The calls without results. */
  pending: ToolCall[];
}

export class ServerModel {
  readonly turns: StoredTurn[] = [];
  readonly #publish: (update: ConversationUpdate) => void;
  #position = 0;
  readonly #events: ConversationEvent[] = [];

  constructor(publish: (update: ConversationUpdate) => void) {
    this.#publish = publish;
  }

  get newest(): StoredTurn | undefined {
    return this.turns.at(-1);
  }

  /** A user sends a message. Turns before have ended. */
  send(): void {
    const id = `t${this.turns.length + 1}`;
    const question = this.#store(id, 'USER', [textBlock('Why?')], null);
    this.turns.push({
      id,
      question,
      status: 'QUEUED',
      run: 1,
      attempt: 0,
      sequence: 0,
      continues: false,
      answer: [],
      keptPosition: question.position,
      batches: [],
      tail: '',
      pending: [],
    });
  }

  /** A handler begins an attempt. What an earlier attempt has not brought to an end is superseded. */
  claim(turn: StoredTurn): void {
    this.#startAttempt(turn);
    turn.status = 'RUNNING';
    const first = { status: turn.status, continues: turn.continues ? true : null };
    this.publishBatch(turn, first, turn.question);
  }

  /** Publishes a batch. Its text comes after what the attempt has brought. */
  publishBatch(
    turn: StoredTurn,
    batch: Partial<AgentMetadata>,
    event: ConversationEvent | null = null,
  ): void {
    const metadata = { ...EMPTY_METADATA, status: turn.status, ...batch };
    this.storeBatch(turn, metadata);
    this.#publishUpdate(turn, metadata, event);
  }

  /** Stores a batch that is never published. */
  storeBatch(turn: StoredTurn, metadata: AgentMetadata): void {
    turn.sequence += 1;
    turn.tail += metadata.agentPartialMessage ?? '';
    turn.batches.push({ attempt: turn.attempt, sequence: turn.sequence, metadata });
  }

  /** Stores the text since the last event, with further text that no batch has brought, and publishes it. */
  publishEvent(turn: StoredTurn, further: string): void {
    this.#publishStored(turn, this.#storeEvent(turn, 'AGENT', further, []));
  }

  /** The model calls tools. Later attempts keep what came up to here. */
  publishCalls(turn: StoredTurn, count: number): void {
    const number = this.#position + 1;
    const calls = Array.from({ length: count }, (_, index) => call(`call${number}-${index}`));
    const blocks = calls.map(({ id, name, title }) => ({
      ...EMPTY_BLOCK,
      toolUse: { id, name, title, input: '{}' },
    }));
    const event = this.#storeEvent(turn, 'AGENT', '', blocks);
    keepEvents(turn, event);
    turn.pending = calls;
    this.#publishStored(turn, event);
  }

  publishResults(turn: StoredTurn): void {
    const event = this.#storeEvent(turn, 'TOOL', '', turn.pending.map(resultBlock));
    keepEvents(turn, event);
    turn.pending = [];
    this.#publishStored(turn, event);
  }

  /** The turn begins to wait for the answers to its calls. */
  wait(turn: StoredTurn): void {
    turn.pending = turn.pending.map((pending) => ({ ...pending, status: 'APPROVAL_NEEDED' }));
    turn.status = 'WAITING';
    this.publishBatch(turn, { pending: turn.pending });
  }

  /** One call gets its answer, but another one still waits. */
  answerFirstCall(turn: StoredTurn): void {
    const [first, ...others] = turn.pending;
    if (!first) return;
    const toolCall: ToolCall = { ...first, status: 'RUNNING' };
    turn.pending = [toolCall, ...others];
    this.publishBatch(turn, { toolCall });
  }

  /** Retries or continues the turn, or goes on after the answers to its calls. */
  reopen(turn: StoredTurn, continues: boolean): void {
    if (!continues) {
      turn.answer = [];
      turn.pending = [];
    }
    turn.run += 1;
    turn.keptPosition = this.#position;
    turn.continues = continues;
    this.#startAttempt(turn);
    turn.status = 'QUEUED';
  }

  /** Stores the event that ends the answer, and publishes it or not. */
  end(turn: StoredTurn, status: TurnStatus, further: string, isPublished: boolean): void {
    turn.status = status;
    const isCancelled = status === 'CANCELLED';
    const failure = { code: 'INTERRUPTED', message: 'Interrupted.', retryable: true } as const;
    const end =
      status === 'FAILED'
        ? { failure }
        : { stopReason: (isCancelled ? 'CANCELLED' : 'END_TURN') as StopReason };
    const event = this.#storeEvent(turn, 'AGENT', further, turn.pending.map(resultBlock), end);
    turn.pending = [];
    if (isPublished) this.#publishStored(turn, event);
  }

  /** The handler has died, and no event says so. */
  abandon(turn: StoredTurn): void {
    turn.status = 'FAILED';
  }

  hasStoredEnd(turn: StoredTurn): boolean {
    const last = turn.answer.at(-1);
    return last?.attempt === turn.attempt && (last.stopReason !== null || last.failure !== null);
  }

  getTurn(id: string, { attempt, afterSequence }: TurnQuery): Turn {
    const turn = this.turns.find((stored) => stored.id === id);
    if (!turn) throw new Error(`a client asks only for turns that exist: ${id}`);
    const wanted = attempt ?? turn.attempt;
    const batches = turn.batches.filter(
      (batch) => batch.attempt === wanted && batch.sequence > afterSequence,
    );
    return {
      id,
      conversationId: 'c',
      status: turn.status,
      run: turn.run,
      attempt: turn.attempt,
      question: copy(turn.question),
      answer: copy(turn.answer),
      batches: copy(batches.slice(0, BATCHES_PER_PAGE)),
      hasMoreBatches: batches.length > BATCHES_PER_PAGE,
      failure: null,
      usage: null,
      pending: turn.status === 'WAITING' ? copy(turn.pending) : null,
    };
  }

  getEvents(after: number | undefined): ConversationEvents {
    const newer = this.#events.filter((event) => after !== undefined && event.position > after);
    const items = after === undefined ? this.#events.slice(-1) : newer.slice(0, EVENTS_PER_PAGE);
    const active = this.turns.find((turn) => !isEnd(turn.status));
    const events = { items: copy(items), hasMore: newer.length > EVENTS_PER_PAGE };
    return { activeTurn: active ? { id: active.id } : null, events };
  }

  #startAttempt(turn: StoredTurn): void {
    turn.answer = turn.answer.filter((event) => event.position <= turn.keptPosition);
    turn.attempt += 1;
    turn.sequence = 0;
    turn.tail = '';
  }

  #storeEvent(
    turn: StoredTurn,
    kind: SenderKind,
    further: string,
    blocks: readonly ContentBlock[],
    end: Partial<ConversationEvent> = {},
  ): ConversationEvent {
    const text = turn.tail + further;
    turn.tail = '';
    turn.sequence += 1;
    const content = [...(text === '' ? [] : [textBlock(text)]), ...blocks];
    const event = this.#store(turn.id, kind, content, turn.attempt, end);
    turn.answer = [...turn.answer, event];
    return event;
  }

  #store(
    turnId: string,
    kind: SenderKind,
    content: readonly ContentBlock[],
    attempt: number | null,
    end: Partial<ConversationEvent> = {},
  ): ConversationEvent {
    this.#position += 1;
    const event: ConversationEvent = {
      id: kind === 'USER' ? turnId : `e${this.#position}`,
      conversationId: 'c',
      position: this.#position,
      turnId,
      attempt,
      sender: { kind, id: null, name: null },
      content,
      text: content.map(({ text }) => text ?? '').join(''),
      stopReason: null,
      usage: null,
      failure: null,
      superseded: null,
      replacesTurnId: null,
      modelId: null,
      guardrail: null,
      createdAt: '2026-01-01T00:00:00Z',
      ...end,
    };
    this.#events.push(event);
    return event;
  }

  #publishStored(turn: StoredTurn, event: ConversationEvent): void {
    this.#publishUpdate(turn, { ...EMPTY_METADATA, status: turn.status }, event);
  }

  #publishUpdate(
    { id, attempt, sequence }: StoredTurn,
    metadata: AgentMetadata,
    event: ConversationEvent | null,
  ): void {
    this.#publish(copy({ conversationId: 'c', turnId: id, attempt, sequence, metadata, event, title: null }));
  }
}

/** The text of a client that has received everything. */
export function storedText(turn: StoredTurn): string {
  return turn.answer.map(textOf).join('') + turn.tail;
}

export const EMPTY_METADATA: AgentMetadata = {
  status: 'RUNNING',
  contentBlockIndex: null,
  agentPartialMessage: null,
  agentPartialReasoning: null,
  note: null,
  noteCode: null,
  continues: null,
  citations: null,
  toolCall: null,
  pending: null,
};

const EMPTY_BLOCK: ContentBlock = {
  text: null,
  citations: null,
  toolUse: null,
  toolResult: null,
  reasoning: null,
};

function textBlock(text: string): ContentBlock {
  return { ...EMPTY_BLOCK, text };
}

function call(id: string): ToolCall {
  return { id, name: 'look', title: null, status: 'RUNNING', note: null };
}

function resultBlock({ id }: ToolCall): ContentBlock {
  const toolResult = { toolUseId: id, status: 'SUCCEEDED', json: '1', text: null, truncated: null } as const;
  return { ...EMPTY_BLOCK, toolResult: { ...toolResult, startedAt: null, endedAt: null } };
}

function keepEvents(turn: StoredTurn, event: ConversationEvent): void {
  turn.keptPosition = event.position;
  turn.continues = true;
}

/** As it comes over the network: other objects each time. */
function copy<T>(value: T): T {
  return structuredClone(value);
}
