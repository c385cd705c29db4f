/** What the adapters share: stores by the ids of their conversations, and answers as they grow. */
import {
  createConversation,
  ParlanceError,
  type AssistantMessage,
  type Client,
  type ClientTools,
  type ConversationStore,
  type ErrorCode,
  type Part,
  type ToolCallAnswer,
} from '../index.js';
import { untilSnapshot } from '../store/untilSnapshot.js';

export interface AdapterOptions {
  /** The agent of new conversations; the agent named default when left out. */
  readonly agentId?: string;
  /** The tools of agents that this page runs without the help of the other library. */
  readonly tools?: ClientTools;
}

/** How many conversations are kept open. */
const MAX_OPEN = 8;

export class Conversations {
  readonly #client: Client;
  readonly #options: AdapterOptions;
  readonly #stores = new Map<string, ConversationStore>();

  constructor(client: Client, options: AdapterOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** The conversation with this id, read; or, where there is none, one that its first message creates. */
  async open(id: string): Promise<ConversationStore> {
    const known = this.#stores.get(id);
    const store = known ?? this.#add(id, createConversation(this.#client, { ...this.#options, id }));
    // What a store without listeners has may be old.
    const { phase, connection } = store.getSnapshot();
    if (phase === 'READY' && connection === 'CLOSED') await store.reload();
    const opened = await untilSnapshot(store, (snapshot) => snapshot.phase !== 'LOADING');
    if (opened.phase !== 'FAILED') return store;
    store.dispose();
    this.#stores.delete(id);
    if (opened.error?.code !== 'NotFound') {
      throw opened.error ?? new ParlanceError('OTHER', 'Nothing can be read.');
    }
    return this.#add(id, createConversation(this.#client, { ...this.#options, newId: id }));
  }

  close(): void {
    for (const store of this.#stores.values()) store.dispose();
    this.#stores.clear();
  }

  #add(id: string, store: ConversationStore): ConversationStore {
    this.#stores.set(id, store);
    const [oldest] = this.#stores.keys();
    if (this.#stores.size > MAX_OPEN && oldest !== undefined) {
      this.#stores.get(oldest)?.dispose();
      this.#stores.delete(oldest);
    }
    return store;
  }
}

export interface AnswerObserver {
  onChange(answer: AssistantMessage): void;
  /** The turn has ended, or waits for the answers to tool calls. Nothing follows. */
  onEnd(answer: AssistantMessage): void;
  /** The conversation cannot be followed any more. Nothing follows. */
  onFailed(error: ParlanceError): void;
}

/** Reports an answer as it grows, its present state first. Returns the function that ends it. */
export function followAnswer(store: ConversationStore, turnId: string, observer: AnswerObserver): () => void {
  const end = () => {
    unsubscribe();
  };
  const update = () => {
    const { error } = store.getSnapshot();
    const answer = answerOf(store, turnId);
    if (answer) observer.onChange(answer);
    if (answer && answer.status !== 'STREAMING') {
      end();
      observer.onEnd(answer);
    } else if (error) {
      end();
      observer.onFailed(error);
    }
  };
  const unsubscribe = store.subscribe(update);
  update();
  return end;
}

export function answerOf(store: ConversationStore, turnId: string): AssistantMessage | undefined {
  const { messages } = store.getSnapshot();
  return messages
    .filter((message) => message.role === 'assistant')
    .find((message) => message.turnId === turnId);
}

/** The parts with something to show: a model may think without showing what. */
export function shownPartsOf(parts: readonly Part[]): readonly Part[] {
  return parts.filter((part) => part.type !== 'reasoning' || part.text !== '');
}

/** The newest answer, also where it has not begun. */
export function newestAnswer(store: ConversationStore): AssistantMessage | undefined {
  const last = store.getSnapshot().messages.at(-1);
  return last?.role === 'assistant' ? last : undefined;
}

/**
 * Answers tool calls. Where somebody else has answered a call, or the turn has ended, the updates of the turn
 * show what follows.
 */
export async function sendAnswers(
  store: ConversationStore,
  answers: readonly ToolCallAnswer[],
): Promise<void> {
  for (const answer of answers) {
    try {
      await store.answerToolCall(answer);
    } catch (error) {
      const isAnswered = error instanceof ParlanceError && ANSWERED.includes(error.code);
      if (!isAnswered) throw error;
    }
  }
}

const ANSWERED: readonly ErrorCode[] = ['ToolCallAnswered', 'NotPending'];
