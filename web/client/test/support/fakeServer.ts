/**
 * A small model of the API, in memory: conversations, turns, numbered updates and their batches. Tests play
 * the handler by `FakeServer.answer`.
 */
import { ParlanceError, type ErrorCode } from '../../src/errors.js';
import type {
  AgentBatch,
  AgentMetadata,
  AnswerToolCallInput,
  Citation,
  ContentBlock,
  Conversation,
  ConversationEvent,
  ConversationUpdate,
  Participant,
  SendMessageInput,
  StopReason,
  ToolCall,
  Turn,
  TurnStatus,
} from '../../src/generated/schema.js';
import type { SubscriptionObserver, Transport, Variables } from '../../src/transport/transport.js';

interface StoredTurn {
  turn: Turn;
  /** Events up to this position stay, whatever attempt stored them. */
  basePosition: number;
  continues: boolean;
  sequence: number;
  batches: AgentBatch[];
}

interface StoredConversation {
  conversation: Conversation;
  participants: Participant[];
  events: ConversationEvent[];
  turns: Map<string, StoredTurn>;
}

/** What happens to the next request of an operation. */
interface Fault {
  operation: string;
  error: ParlanceError;
  /** Whether the request is carried out, and only its response is lost. */
  isResponseLost: boolean;
}

export class FakeServer implements Transport {
  readonly requests: { operation: string; variables: Variables }[] = [];
  readonly conversations = new Map<string, StoredConversation>();
  callerId = 'ada';
  /** Whether updates reach subscribers. */
  losesUpdates = false;
  #faults: Fault[] = [];
  #observers = new Map<SubscriptionObserver, string>();
  #isOnline = true;
  #clock = 0;

  get connectionState() {
    return this.#observers.size > 0 ? 'CONNECTED' : 'CLOSED';
  }

  get subscriberCount(): number {
    return this.#observers.size;
  }

  close(): void {
    this.#observers.clear();
  }

  request = async <Data>(document: string, variables: Variables): Promise<Data> => {
    await Promise.resolve();
    const operation = /^\s*(?:query|mutation) (\w+)/.exec(document)?.[1] ?? '';
    const name = operation.charAt(0).toLowerCase() + operation.slice(1);
    this.requests.push({ operation: name, variables });
    if (!this.#isOnline) throw new ParlanceError('NETWORK', 'There is no network.');
    const fault = this.#takeFault(name);
    if (fault && !fault.isResponseLost) throw fault.error;
    const answer = this.#execute(name, variables);
    await Promise.resolve();
    if (fault) throw fault.error;
    return { [name]: structuredClone(answer) } as Data;
  };

  subscribe = (_document: string, variables: Variables, observer: SubscriptionObserver) => {
    const id = String(variables['conversationId']);
    queueMicrotask(() => {
      this.#observers.set(observer, id);
      this.#acknowledge(observer, id);
    });
    return {
      unsubscribe: () => {
        queueMicrotask(() => this.#observers.delete(observer));
      },
    };
  };

  /** The next request of the operation fails. */
  fail(operation: string, code: ErrorCode, { isResponseLost = false } = {}): void {
    this.#faults.push({ operation, error: new ParlanceError(code, `Test: ${code}.`), isResponseLost });
  }

  setOnline(isOnline: boolean): void {
    this.#isOnline = isOnline;
    for (const [observer, id] of this.#observers) {
      if (isOnline) this.#acknowledge(observer, id);
      else observer.onState('OFFLINE');
    }
  }

  /** How often an operation was requested. */
  count(operation: string): number {
    return this.requests.filter((request) => request.operation === operation).length;
  }

  /** Stores a conversation with so many turns that have ended, each of two events. */
  seed(id: string, turns: number): void {
    this.#createConversation(id);
    for (let number = 1; number <= turns; number++) {
      this.#send({ conversationId: id, id: `${id}-m${number}`, text: `Question ${number}` });
      this.answer(id).end(`Answer ${number}`);
    }
  }

  /** The handler that answers the active turn: claims it, or goes on after `turn`'s last claim has died. */
  answer(conversationId: string): Answering {
    return new Answering(this, conversationId, this.#activeTurn(this.stored(conversationId)));
  }

  stored(conversationId: string): StoredConversation {
    const stored = this.conversations.get(conversationId);
    if (!stored) throw new ParlanceError('NotFound', `There is no conversation ${conversationId}.`);
    return stored;
  }

  publish(conversationId: string, update: ConversationUpdate): void {
    if (this.losesUpdates || !this.#isOnline) return;
    for (const [observer, id] of this.#observers) {
      if (id === conversationId) observer.onData({ onConversationUpdate: structuredClone(update) });
    }
  }

  /** Gives a conversation a title, as the backend does after its first answer. */
  title(conversationId: string, title: string): void {
    const stored = this.stored(conversationId);
    stored.conversation = { ...stored.conversation, title };
    const none = { turnId: null, attempt: null, sequence: null, metadata: null, event: null };
    this.publish(conversationId, { conversationId, ...none, title });
  }

  /** Stores an event at the next position. */
  store(
    conversationId: string,
    event: Pick<ConversationEvent, 'id' | 'turnId' | 'attempt' | 'sender' | 'content'> &
      Partial<ConversationEvent>,
  ): ConversationEvent {
    const { events } = this.stored(conversationId);
    const text = event.content.map((block) => block.text ?? '').join('');
    const stored: ConversationEvent = {
      conversationId,
      position: events.length + 1,
      text,
      stopReason: null,
      usage: null,
      failure: null,
      superseded: null,
      replacesTurnId: null,
      modelId: null,
      guardrail: null,
      createdAt: this.#now(),
      ...event,
    };
    events.push(stored);
    return stored;
  }

  #now(): string {
    return new Date(Date.UTC(2026, 0, 1) + 1000 * this.#clock++).toISOString();
  }

  #takeFault(operation: string): Fault | undefined {
    const index = this.#faults.findIndex((fault) => fault.operation === operation);
    return index === -1 ? undefined : this.#faults.splice(index, 1)[0];
  }

  #acknowledge(observer: SubscriptionObserver, id: string): void {
    if (!this.#observers.has(observer)) return;
    if (!this.conversations.has(id)) {
      observer.onError(new ParlanceError('NotFound', 'There is no such conversation.'));
      return;
    }
    observer.onState('CONNECTED');
    observer.onSubscribed();
  }

  #execute(operation: string, variables: Variables): unknown {
    const input = (variables['input'] ?? {}) as Record<string, unknown>;
    const id = String(variables['id'] ?? input['id']);
    const conversationId = String(variables['conversationId'] ?? input['conversationId']);
    switch (operation) {
      case 'getCaller':
        return { id: this.callerId, name: 'Ada', isAdministrator: false };
      case 'createConversation':
        return this.#createConversation(id, input['agentId'] as string | undefined);
      case 'updateConversation':
        return this.#updateConversation(id, input['title'] as string);
      case 'deleteConversation':
        return this.#deleteConversation(id);
      case 'listConversations':
        return this.#list(variables as { limit: number; nextToken?: string | null });
      case 'getConversation':
      case 'getEvents':
        return this.#read(id, variables as { limit: number; before?: number; after?: number });
      case 'sendMessage':
        return this.#send(input);
      case 'getTurn':
        return this.#getTurn(conversationId, id, variables);
      case 'cancelTurn':
        return this.#cancel(conversationId, id);
      case 'retryTurn':
        return this.#restart(conversationId, id, false);
      case 'continueTurn':
        return this.#restart(conversationId, id, true);
      case 'answerToolCall':
        return this.#answerToolCall(input as AnswerToolCallInput);
      default:
        throw new Error(`The fake server has no ${operation}.`);
    }
  }

  #createConversation(id: string, agentId = 'default'): Conversation {
    const createdAt = this.#now();
    const conversation: Conversation = {
      id,
      title: null,
      agentId,
      createdAt,
      lastActivityAt: createdAt,
      ownerId: this.callerId,
      access: 'OWNER',
      activeTurn: null,
    };
    const stored = this.conversations.get(id) ?? {
      conversation,
      participants: [],
      events: [],
      turns: new Map(),
    };
    this.conversations.set(id, stored);
    return stored.conversation;
  }

  #updateConversation(id: string, title: string): Conversation {
    const stored = this.stored(id);
    stored.conversation = { ...stored.conversation, title: title || null };
    return stored.conversation;
  }

  #deleteConversation(id: string): Conversation {
    const { conversation } = this.stored(id);
    this.conversations.delete(id);
    return conversation;
  }

  #list({ limit, nextToken }: { limit: number; nextToken?: string | null }) {
    const all = [...this.conversations.values()].map(({ conversation }) => conversation);
    all.sort((one, other) => (one.lastActivityAt < other.lastActivityAt ? 1 : -1));
    const start = Number(nextToken ?? 0);
    const end = start + limit;
    return { items: all.slice(start, end), nextToken: end < all.length ? String(end) : null };
  }

  #read(id: string, { limit, before, after }: { limit: number; before?: number; after?: number }) {
    const stored = this.stored(id);
    const active = this.#activeTurn(stored);
    const all = stored.events.filter(
      ({ position }) => position < (before ?? Infinity) && position > (after ?? 0),
    );
    const items = after === undefined ? all.slice(-limit) : all.slice(0, limit);
    return {
      ...stored.conversation,
      participants: stored.participants,
      activeTurn: active && { id: active.turn.id, status: active.turn.status },
      events: { items, hasMore: items.length < all.length },
    };
  }

  #activeTurn(stored: StoredConversation): StoredTurn | null {
    return [...stored.turns.values()].find(({ turn }) => !isEnd(turn.status)) ?? null;
  }

  #send({ conversationId, id, text, replacesTurnId = null }: SendMessageInput): Turn {
    const stored = this.stored(String(conversationId));
    const known = stored.turns.get(String(id));
    if (known) {
      if (known.turn.question?.text !== text) throw new ParlanceError('IdConflict', 'The id is taken.');
      return known.turn;
    }
    const active = this.#activeTurn(stored);
    if (active) {
      if (active.turn.status !== 'WAITING') {
        throw new ParlanceError('ConversationBusy', 'Busy.', { info: { turnId: active.turn.id } });
      }
      this.answer(stored.conversation.id).end('', 'CANCELLED');
    }
    for (const [index, event] of stored.events.entries()) {
      const isReplaced = replacesTurnId !== null && event.turnId === replacesTurnId;
      if (isReplaced) stored.events[index] = { ...event, superseded: true };
    }
    const question = this.store(stored.conversation.id, {
      id: String(id),
      turnId: String(id),
      attempt: null,
      sender: { kind: 'USER', id: this.callerId, name: 'Ada' },
      content: [block({ text: text ?? '' })],
      replacesTurnId,
    });
    const turn: Turn = {
      id: String(id),
      conversationId: stored.conversation.id,
      status: 'QUEUED',
      run: 1,
      attempt: 0,
      hasMoreBatches: false,
      question,
      answer: [],
      batches: null,
      pending: null,
      failure: null,
      usage: null,
    };
    stored.turns.set(turn.id, { turn, basePosition: 0, continues: false, sequence: 0, batches: [] });
    stored.conversation = { ...stored.conversation, lastActivityAt: question.createdAt };
    return turn;
  }

  #turn(conversationId: string, id: string): StoredTurn {
    const stored = this.stored(conversationId).turns.get(id);
    if (!stored) throw new ParlanceError('NotFound', `There is no turn ${id}.`);
    return stored;
  }

  #getTurn(conversationId: string, id: string, query: { attempt?: number; afterSequence?: number }): Turn {
    const { turn, batches, basePosition } = this.#turn(conversationId, id);
    const attempt = query.attempt ?? turn.attempt;
    const after = query.afterSequence ?? 0;
    if (after >= 999_999) throw new ParlanceError('InvalidInput', 'afterSequence must be a sequence.');
    const answer = this.stored(conversationId).events.filter(
      (event) =>
        event.turnId === id &&
        event.sender.kind !== 'USER' &&
        !event.superseded &&
        (event.position <= basePosition || event.attempt === turn.attempt),
    );
    const requested = batches.filter((batch) => batch.attempt === attempt && batch.sequence > after);
    return { ...turn, answer, batches: requested.slice(0, 500), hasMoreBatches: requested.length > 500 };
  }

  #cancel(conversationId: string, id: string): Turn {
    const stored = this.#turn(conversationId, id);
    if (stored.turn.status === 'QUEUED' || stored.turn.status === 'WAITING') {
      this.answer(conversationId).end('', 'CANCELLED');
    } else if (!isEnd(stored.turn.status)) {
      stored.turn = { ...stored.turn, status: 'CANCELLING' };
    }
    return stored.turn;
  }

  #restart(conversationId: string, id: string, continues: boolean): Turn {
    const stored = this.#turn(conversationId, id);
    const { turn } = stored;
    if (!isEnd(turn.status)) throw new ParlanceError('ConversationBusy', 'Busy.', { info: { turnId: id } });
    const { events } = this.stored(conversationId);
    if (!continues) {
      for (const [index, event] of events.entries()) {
        const isAnswer = event.turnId === id && event.sender.kind !== 'USER';
        if (isAnswer) events[index] = { ...event, superseded: true };
      }
    }
    this.#nextRun(stored, continues, events.length);
    return stored.turn;
  }

  #nextRun(stored: StoredTurn, continues: boolean, basePosition: number): void {
    const { turn } = stored;
    const next = { status: 'QUEUED', run: turn.run + 1, attempt: turn.attempt + 1 } as const;
    stored.turn = { ...turn, ...next, pending: null, failure: null, usage: null };
    stored.continues = continues;
    stored.basePosition = basePosition;
  }

  #answerToolCall(input: AnswerToolCallInput): Turn {
    const stored = this.#turn(input.conversationId, input.turnId);
    const calls = stored.turn.pending ?? [];
    const call = calls.find(({ id }) => id === input.toolUseId);
    if (!call || !needsAnswer(call)) throw new ParlanceError('NotPending', 'The call does not wait.');
    if (typeof input.result === 'string' && input.result.length > 48 * 1024) {
      throw new ParlanceError('InvalidInput', 'result must have at most 48 KB.', {
        info: { field: 'result' },
      });
    }
    const answered: ToolCall = { ...call, status: input.approved === false ? 'DENIED' : 'RUNNING' };
    const pending = calls.map((other) => (other.id === call.id ? answered : other));
    if (!pending.some(needsAnswer)) {
      this.#nextRun(stored, true, this.stored(input.conversationId).events.length);
      return stored.turn;
    }
    stored.turn = { ...stored.turn, pending };
    new Answering(this, input.conversationId, stored, false).update({
      status: 'WAITING',
      toolCall: answered,
    });
    return stored.turn;
  }
}

/** One attempt at an answer. Each method publishes one update. */
export class Answering {
  readonly #server: FakeServer;
  readonly #conversationId: string;
  readonly #stored: StoredTurn;
  readonly #attempt: number;
  #events = 0;

  constructor(server: FakeServer, conversationId: string, stored: StoredTurn | null, isNew = true) {
    if (!stored) throw new Error('No turn waits to be answered.');
    this.#server = server;
    this.#conversationId = conversationId;
    this.#stored = stored;
    if (!isNew) {
      this.#attempt = stored.turn.attempt;
      return;
    }
    const { status } = stored.turn;
    stored.turn = { ...stored.turn, attempt: stored.turn.attempt + 1, status: 'RUNNING' };
    stored.sequence = 0;
    this.#attempt = stored.turn.attempt;
    if (status === 'WAITING') return;
    this.update({ status: 'RUNNING', ...(stored.continues && { continues: true }) }, stored.turn.question);
  }

  get turnId(): string {
    return this.#stored.turn.id;
  }

  /** Publishes metadata, with an event or as a batch. */
  update(metadata: Partial<AgentMetadata>, event: ConversationEvent | null = null): void {
    this.#stored.sequence += 1;
    const { sequence, turn } = this.#stored;
    const full = { ...NO_METADATA, status: turn.status, ...metadata };
    if (!event || event.sender.kind === 'USER') {
      this.#stored.batches.push({ attempt: this.#attempt, sequence, metadata: full });
    }
    const { conversationId, id: turnId } = turn;
    const update = {
      conversationId,
      turnId,
      attempt: this.#attempt,
      sequence,
      metadata: full,
      event,
      title: null,
    };
    this.#server.publish(this.#conversationId, update);
  }

  text(text: string, citations: Citation[] | null = null): this {
    this.update({ agentPartialMessage: text, contentBlockIndex: 0, citations });
    return this;
  }

  reasoning(text: string, contentBlockIndex = 0): this {
    this.update({ agentPartialReasoning: text, contentBlockIndex });
    return this;
  }

  note(note: string): this {
    this.update({ note, noteCode: 'MODEL_BUSY' });
    return this;
  }

  /** Stores the text and the calls of a step. */
  calls(text: string, ...calls: { id: string; name: string; input: unknown }[]): this {
    const toolUses = calls.map(({ input, ...call }) => ({
      ...call,
      title: null,
      input: JSON.stringify(input),
    }));
    const texts = text === '' ? [] : [block({ text })];
    return this.event('AGENT', [...texts, ...toolUses.map((toolUse) => block({ toolUse }))]);
  }

  /** Stores the results of calls. */
  results(...results: { id: string; json?: unknown; text?: string }[]): this {
    const blocks = results.map(({ id, json, text }) =>
      block({
        toolResult: {
          toolUseId: id,
          status: json === undefined ? 'FAILED' : 'SUCCEEDED',
          json: json === undefined ? null : JSON.stringify(json),
          text: text ?? null,
          truncated: null,
          startedAt: null,
          endedAt: null,
        },
      }),
    );
    return this.event('TOOL', blocks);
  }

  /** Stores an event that does not end the answer. */
  event(kind: 'AGENT' | 'TOOL', content: ContentBlock[]): this {
    const event = this.#store(kind, content, {});
    // A later attempt goes on from here.
    this.#stored.basePosition = event.position;
    this.#stored.continues = true;
    this.update({}, event);
    return this;
  }

  /** Begins to wait for calls, and stops. */
  wait(...calls: { id: string; name: string; status: 'APPROVAL_NEEDED' | 'CLIENT_NEEDED' }[]): void {
    const pending = calls.map((call) => ({ ...call, title: null, note: null }));
    this.#stored.turn = { ...this.#stored.turn, status: 'WAITING', pending };
    this.update({ pending });
  }

  /** Ends the turn with this text since the last event. */
  end(text: string, stopReason: StopReason = 'END_TURN', citations: Citation[] | null = null): void {
    const usage = {
      inputTokens: 10,
      outputTokens: 5,
      totalTokens: 15,
      cacheReadTokens: null,
      cacheWriteTokens: null,
    };
    this.endWith(text === '' ? [] : [block({ text, citations })], { stopReason, usage });
  }

  /** Ends the turn with these blocks since the last event. */
  endWith(content: ContentBlock[], event: Partial<ConversationEvent> = {}): void {
    const stored = this.#store('AGENT', content, { stopReason: 'END_TURN', ...event });
    this.#close(stored.stopReason === 'CANCELLED' ? 'CANCELLED' : 'COMPLETED', stored);
  }

  fail(text: string): void {
    const failure = {
      code: 'MODEL_UNAVAILABLE',
      message: 'The model is not there.',
      retryable: true,
    } as const;
    const event = this.#store('AGENT', text === '' ? [] : [block({ text })], { failure });
    this.#stored.turn = { ...this.#stored.turn, failure };
    this.#close('FAILED', event);
  }

  #close(status: TurnStatus, event: ConversationEvent): void {
    this.#stored.turn = { ...this.#stored.turn, status, pending: null, usage: event.usage };
    this.#stored.basePosition = event.position;
    const stored = this.#server.stored(this.#conversationId);
    stored.conversation = { ...stored.conversation, lastActivityAt: event.createdAt };
    this.update({ status }, event);
  }

  #store(
    kind: 'AGENT' | 'TOOL',
    content: ContentBlock[],
    event: Partial<ConversationEvent>,
  ): ConversationEvent {
    this.#events += 1;
    return this.#server.store(this.#conversationId, {
      id: `${this.turnId}#${this.#attempt}#${this.#events}`,
      turnId: this.turnId,
      attempt: this.#attempt,
      sender: { kind, id: 'default', name: null },
      content,
      ...event,
    });
  }
}

const NO_METADATA: Omit<AgentMetadata, 'status'> = {
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

export function block(content: Partial<ContentBlock>): ContentBlock {
  return { text: null, citations: null, toolUse: null, toolResult: null, reasoning: null, ...content };
}

function isEnd(status: TurnStatus): boolean {
  return status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED';
}

function needsAnswer({ status }: ToolCall): boolean {
  return status === 'APPROVAL_NEEDED' || status === 'CLIENT_NEEDED';
}
