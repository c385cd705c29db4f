/** The store of one conversation: it connects a client with a state, from which snapshots follow. */
import type { Client } from '../client.js';
import { ParlanceError } from '../errors.js';
import type { AnswerToolCallInput, StartedTurn } from '../generated/schema.js';
import { Follower } from './follower.js';
import { messagesOf } from './messages.js';
import { Notifier } from './notifier.js';
import { randomId } from './randomId.js';
import { repeat } from './repeat.js';
import { share } from '../reassembly/share.js';
import type { ConversationSnapshot, ConversationStore, Message, ToolCallAnswer } from './snapshot.js';
import {
  detailsOf,
  NEW,
  newestTurn,
  snapshotOf,
  withConversation,
  withinBound,
  withLaterEvents,
  type State,
} from './state.js';
import type { ClientToolRunner, ClientTools } from './tools.js';
import {
  isOpen,
  range,
  withEvents,
  withoutTurn,
  withTurn,
  withViews,
  type LocalMessage,
  type TurnRecord,
} from './turns.js';

export interface ConversationOptions {
  /** The conversation; a new one when left out. */
  readonly id?: string;
  /** The id that a new conversation gets; random when left out. Not together with `id`. */
  readonly newId?: string;
  /** The agent of a new conversation; the agent named default when left out. */
  readonly agentId?: string;
  /** How many events a page has: 1 to 100, 50 by default. */
  readonly pageSize?: number;
  /** The tools of agents that this page runs: `clientTools` makes them. */
  readonly tools?: ClientTools;
}

/**
 * The store of a conversation, or of a new one. It follows the conversation while it has a listener; when it
 * gets one again, it goes on without a gap. It keeps at most 10,000 events.
 */
export function createConversation(client: Client, options: ConversationOptions = {}): ConversationStore {
  return new Conversation(client, options);
}

const PAGE_SIZE = 50;
/** How long a store without listeners goes on, in ms: a page that renders anew has none for a moment. */
const LINGER = 1_000;

class Conversation implements ConversationStore {
  readonly #client: Client;
  readonly #options: ConversationOptions;
  readonly #notifier = new Notifier();
  readonly #disposed = new AbortController();
  readonly #tools: ClientToolRunner | undefined;
  readonly #messages = new WeakMap<TurnRecord, readonly Message[]>();
  #state: State = NEW;
  #snapshot: { readonly of: State; readonly value: ConversationSnapshot } | undefined;
  #follower: Follower | undefined;
  /** Settles when the messages before are sent. */
  #sent: Promise<unknown> = Promise.resolve();
  /** The id of a new conversation, once a message was sent. */
  #newId: string | undefined;

  constructor(client: Client, options: ConversationOptions) {
    this.#client = client;
    this.#options = options;
    this.#tools = options.tools?.(client, (id, answer) => this.#answer(id, answer));
    if (options.id === undefined) return;
    this.#state = { ...NEW, id: options.id, phase: 'LOADING' };
    this.#follow(options.id);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    const remove = this.#notifier.add(listener);
    this.#follower?.start();
    return () => {
      remove();
      this.#pauseSoon();
    };
  };

  readonly getSnapshot = (): ConversationSnapshot => {
    if (this.#snapshot?.of !== this.#state) {
      const value = snapshotOf(this.#state, (turn) => this.#messagesOf(turn));
      this.#snapshot = { of: this.#state, value: share(this.#snapshot?.value, value) };
    }
    return this.#snapshot.value;
  };

  async send(text: string, { id = randomId() }: { id?: string } = {}): Promise<void> {
    const replaces = this.#state.turns.get(id)?.local?.replaces;
    await this.#send(id, { text, delivery: 'SENDING', ...(replaces !== undefined && { replaces }) });
  }

  discard(id: string): void {
    const turn = this.#state.turns.get(id);
    if (turn?.local && turn.local.delivery !== 'SENT') {
      this.#set({ turns: withoutTurn(this.#state.turns, id) });
    }
  }

  async edit(turnId: string, text: string): Promise<void> {
    const local = this.#state.turns.get(turnId)?.local;
    if (local && local.delivery !== 'SENT') await this.send(text, { id: turnId });
    else await this.#send(randomId(), { text, delivery: 'SENDING', replaces: turnId });
  }

  async cancel(): Promise<void> {
    await this.#sent;
    const newest = this.#newest();
    if (!isOpen(newest)) return;
    const { id } = newest;
    this.#setTurn(id, { isCancelled: true });
    try {
      await this.#repeat(() => this.#client.cancelTurn(this.#conversationId(), id));
    } catch (error) {
      this.#setTurn(id, { isCancelled: false });
      throw error;
    }
    this.#follower?.expectTurn(id, true);
  }

  async retry(): Promise<void> {
    await this.#restart((conversationId, id) => this.#client.retryTurn(conversationId, id), true);
  }

  async continue(): Promise<void> {
    await this.#restart((conversationId, id) => this.#client.continueTurn(conversationId, id), false);
  }

  async answerToolCall(answer: ToolCallAnswer): Promise<void> {
    await this.#answer(this.#newest().id, answer);
  }

  async loadEarlier(): Promise<void> {
    const { hasEarlier, isLoadingEarlier } = this.getSnapshot();
    const follower = this.#follower;
    if (!hasEarlier || isLoadingEarlier) return;
    this.#set({ isLoadingEarlier: true });
    try {
      const before = range(this.#state.turns).oldest;
      const limit = this.#options.pageSize ?? PAGE_SIZE;
      const { events } = await this.#client.getEvents(this.#conversationId(), { before, limit });
      // A page that was asked for before the conversation was read anew may not join.
      if (follower !== this.#follower) return;
      const turns = withEvents(this.#state.turns, events?.items ?? []);
      this.#set({ turns, hasEarlier: events?.hasMore === true });
    } finally {
      this.#set({ isLoadingEarlier: false });
    }
  }
  async reload(): Promise<void> {
    const follower = this.#follow(this.#conversationId());
    if (this.#state.phase === 'FAILED') this.#set({ phase: 'LOADING' });
    follower.start();
    this.#pauseSoon();
    await follower.opened;
  }

  dispose(): void {
    // A listener may call this, and is told of the state that follows.
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort();
    this.#pause();
    this.#follower = undefined;
  }

  #follow(id: string): Follower {
    this.#follower?.stop();
    const follower: Follower = new Follower(this.#client, id, this.#options.pageSize ?? PAGE_SIZE, {
      onOpened: (conversation) => {
        set(withConversation(this.#state, conversation));
      },
      onEvents: (page) => {
        set(withLaterEvents(this.#state, page));
      },
      onViews: (views) => {
        const turns = withViews(this.#state.turns, views);
        if (turns !== this.#state.turns) set({ turns });
      },
      onState: (connection) => {
        set({ connection });
      },
      onTitle: (title) => {
        const { conversation } = this.#state;
        if (conversation) set({ conversation: { ...conversation, title } });
      },
      onFailed: (error) => {
        set({ phase: 'FAILED', error, connection: 'CLOSED' });
      },
    });
    const set = (change: Partial<State>) => {
      if (follower === this.#follower) this.#set(change);
    };
    this.#follower = follower;
    return follower;
  }

  #pauseSoon(): void {
    setTimeout(() => {
      if (!this.#notifier.hasListeners) this.#pause();
    }, LINGER);
  }

  #pause(): void {
    this.#follower?.stop();
    this.#tools?.stop();
    this.#set({ connection: 'CLOSED' });
  }

  async #send(id: string, local: LocalMessage): Promise<void> {
    this.#setTurn(id, { local });
    const sent = this.#sent.then(() => this.#deliver(id, local));
    this.#sent = sent.catch(() => undefined);
    await sent;
  }

  async #deliver(id: string, local: LocalMessage): Promise<void> {
    const { text, replaces } = local;
    const isDiscarded = () => !this.#state.turns.has(id);
    if (isDiscarded()) return;
    try {
      const conversationId = await this.#create();
      const replaced = replaces !== undefined && { replacesTurnId: replaces };
      const turn = await this.#repeat(() =>
        this.#client.sendMessage({ conversationId, id, text, ...replaced }),
      );
      this.#setTurn(id, { local: { ...local, delivery: 'SENT' } });
      this.#expect(turn);
    } catch (error) {
      const isKnown = error instanceof ParlanceError && !isDiscarded();
      if (isKnown) this.#setTurn(id, { local: { ...local, delivery: { failed: error } } });
      throw error;
    }
  }

  /** The id of the conversation, which is created if it is new. A repetition creates the same one. */
  async #create(): Promise<string> {
    if (this.#state.id !== undefined) return this.#state.id;
    const id = (this.#newId ??= this.#options.newId ?? randomId());
    const { agentId } = this.#options;
    const conversation = await this.#repeat(() =>
      this.#client.createConversation({ id, ...(agentId !== undefined && { agentId }) }),
    );
    this.#set({ id, phase: 'READY', conversation: detailsOf(conversation) });
    const follower = this.#follow(id);
    if (this.#notifier.hasListeners) follower.start();
    return id;
  }

  /** Not repeated: where the response is lost, the turn shows whether it was started again. */
  async #restart(
    request: (conversationId: string, turnId: string) => Promise<StartedTurn>,
    isRetry: boolean,
  ): Promise<void> {
    const { id } = this.#newest();
    this.#set({ isRestarting: true });
    try {
      this.#expect(await request(this.#conversationId(), id), isRetry);
    } catch (error) {
      this.#follower?.expectTurn(id, true);
      throw error;
    } finally {
      this.#set({ isRestarting: false });
    }
  }

  async #answer(turnId: string, { toolUseId, ...answer }: ToolCallAnswer): Promise<void> {
    const input: AnswerToolCallInput = {
      conversationId: this.#conversationId(),
      turnId,
      toolUseId,
      ...('result' in answer ? { ...answer, result: JSON.stringify(answer.result) } : answer),
    };
    this.#expect(await this.#repeat(() => this.#client.answerToolCall(input)));
  }

  /** The API has started a turn, or its next run. */
  #expect({ id, status, attempt }: StartedTurn, isRetry = false): void {
    this.#setTurn(id, { started: { status, attempt, isRetry }, isCancelled: false });
    const isKnown = this.#state.turns.get(id)?.view !== undefined;
    this.#follower?.expectTurn(id, isKnown || status !== 'QUEUED');
  }

  #repeat<Result>(request: () => Promise<Result>): Promise<Result> {
    return repeat(request, this.#disposed.signal);
  }

  #conversationId(): string {
    return required(this.#state.id);
  }

  #newest(): TurnRecord {
    return required(newestTurn(this.#state.turns));
  }

  #messagesOf(turn: TurnRecord): readonly Message[] {
    const messages = this.#messages.get(turn) ?? messagesOf(turn);
    this.#messages.set(turn, messages);
    return messages;
  }

  #setTurn(id: string, change: Partial<TurnRecord>): void {
    this.#set({ turns: withTurn(this.#state.turns, id, change) });
  }

  #set(change: Partial<State>): void {
    this.#state = withinBound({ ...this.#state, ...change });
    const { id, turns } = this.#state;
    if (id !== undefined && this.#tools && this.#notifier.hasListeners) {
      this.#tools.update(id, newestTurn(turns));
    }
    this.#notifier.notify();
  }
}

/** What a conversation has once it has a message. */
function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new ParlanceError('NotFound', 'The conversation has no message yet.');
  return value;
}
