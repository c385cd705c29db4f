/** What a page shows of a conversation, and what it can do with it. Values of snapshots never change. */
import type { ParlanceError } from '../errors.js';
import type {
  Access,
  Citation,
  Failure,
  GuardrailIntervention,
  NoteCode,
  Participant,
  Sender,
  StopReason,
  ToolCall,
  ToolStatus,
  Usage,
} from '../generated/schema.js';
import type { ConnectionState } from '../transport/transport.js';

/** A store for `useSyncExternalStore` and the like. */
export interface Store<Snapshot> {
  /** Listeners are called at most once per animation frame. Returns a function that ends the calls. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The same object until something has changed. */
  readonly getSnapshot: () => Snapshot;
}

/**
 * One conversation. Promises of its actions reject with a `ParlanceError`; actions that need a turn or a
 * conversation that is not there yet reject with the code `NotFound`.
 */
export interface ConversationStore extends Store<ConversationSnapshot> {
  /**
   * Sends a message; the first one of a new conversation creates it. The message is in the snapshot at once.
   * Resolves when the API has taken it. Failures that may pass are repeated for about a minute, with the same
   * id, so that the message is never taken twice. With the id of a message that has failed, sends that one
   * again.
   */
  send(text: string, options?: { id?: string }): Promise<void>;
  /** Removes a message that the API has not taken. */
  discard(id: string): void;
  /** Stops the newest answer and keeps its text. Does nothing where it has ended. */
  cancel(): Promise<void>;
  /** Answers the newest message again. */
  retry(): Promise<void>;
  /** Lets the model go on with the newest answer. */
  continue(): Promise<void>;
  /** Replaces the message of the newest turn, or one that the API has not taken, by another text. */
  edit(turnId: string, text: string): Promise<void>;
  /** Answers a call that waits: see `pending` of the snapshot. */
  answerToolCall(answer: ToolCallAnswer): Promise<void>;
  /** Loads the page of events before the first message. Does nothing while a page is being loaded. */
  loadEarlier(): Promise<void>;
  /** Reads the conversation again: its details, and its messages from the newest page on. */
  reload(): Promise<void>;
  /** Ends the subscription, all timers and all requests. The snapshot stays. */
  dispose(): void;
}

export type ToolCallAnswer = { toolUseId: string } & (
  | { approved: true }
  | { approved: false; /** For the model, at most 1,000 characters. */ reason?: string }
  | { /** Any JSON value but null. */ result: unknown; isError?: boolean }
);

export interface ConversationSnapshot {
  /** Undefined until the first message of a new conversation is sent. */
  readonly id?: string;
  readonly conversation?: ConversationDetails;
  readonly phase: 'NEW' | 'LOADING' | 'READY' | 'FAILED';
  /** Why the conversation cannot be read or followed; only in the phase FAILED. */
  readonly error?: ParlanceError;
  readonly connection: ConnectionState;
  /** Oldest first. A message keeps its identity while it stays the same, and so do its parts. */
  readonly messages: readonly Message[];
  readonly hasEarlier: boolean;
  readonly isLoadingEarlier: boolean;
  /** The state of the newest turn. */
  readonly status: ConversationStatus;
  /** The tool calls for whose answers the newest turn waits, and those of the same step that have one. */
  readonly pending: readonly ToolCall[];
  /** A message for a person who waits for the answer. */
  readonly note?: Note;
  readonly canRetry: boolean;
  readonly canContinue: boolean;
  /** Whether the caller's access lets it send messages. */
  readonly canWrite: boolean;
}

export type ConversationStatus = 'IDLE' | 'SENDING' | 'QUEUED' | 'RUNNING' | 'WAITING' | 'CANCELLING';

export interface Note {
  readonly text: string;
  readonly code?: NoteCode;
}

export interface ConversationDetails {
  readonly id: string;
  readonly title?: string;
  readonly agentId: string;
  readonly createdAt: string;
  readonly lastActivityAt: string;
  readonly ownerId?: string;
  readonly access?: Access;
  readonly participants: readonly Participant[];
}

export type Message = UserMessage | AssistantMessage;

export interface UserMessage {
  readonly role: 'user';
  /** Stable over the life of the store, also when the message is taken by the API. */
  readonly key: string;
  /** Also the id of its turn. */
  readonly id: string;
  readonly text: string;
  /** Undefined until the API has taken the message. */
  readonly sender?: Sender;
  readonly createdAt?: string;
  readonly delivery: 'SENDING' | 'SENT' | { readonly failed: ParlanceError };
}

/** The answer of one turn: all its events, of the agent and of its tools. */
export interface AssistantMessage {
  readonly role: 'assistant';
  readonly key: string;
  readonly turnId: string;
  readonly parts: readonly Part[];
  readonly status: 'STREAMING' | 'WAITING' | 'COMPLETED' | 'CANCELLED' | 'FAILED';
  readonly sender?: Sender;
  /** The model that answered last: the agent's, or one of its fallback models. */
  readonly modelId?: string;
  /** What a guardrail did to the answer, whose text is then the guardrail's. */
  readonly guardrail?: GuardrailIntervention;
  readonly stopReason?: StopReason;
  readonly usage?: Usage;
  readonly failure?: Failure;
  readonly createdAt?: string;
}

/** Kinds of parts may join: show nothing for those that you do not know. */
export type Part = TextPart | ReasoningPart | ToolPart;

export interface TextPart {
  readonly type: 'text';
  readonly key: string;
  /** How many rounds of tool calls have ended before it. */
  readonly step: number;
  readonly text: string;
  readonly citations: readonly PlacedCitation[];
  readonly isStreaming: boolean;
}

/** What the model thought before the parts that follow. */
export interface ReasoningPart {
  readonly type: 'reasoning';
  readonly key: string;
  /** How many rounds of tool calls have ended before it. */
  readonly step: number;
  /** Empty where the model does not show its reasoning. */
  readonly text: string;
  /** How long it thought; undefined while the answer is made, and where it is not known. */
  readonly milliseconds?: number;
  readonly isStreaming: boolean;
}

/** A citation whose `start` and `end` are places in the text of its part. */
export interface PlacedCitation extends Citation {
  /** The arguments of `getCitation`; undefined while the text is streamed. */
  readonly stored?: { readonly eventId: string; readonly index: number };
}

export interface ToolPart {
  readonly type: 'tool';
  readonly key: string;
  /** How many rounds of tool calls have ended before it. */
  readonly step: number;
  readonly toolUseId: string;
  readonly name: string;
  readonly title?: string;
  /** The arguments; undefined where those of the model could not be used. */
  readonly input?: unknown;
  /** Their JSON text. */
  readonly inputText: string;
  readonly status: ToolStatus;
  readonly result?: ToolOutput;
  readonly note?: string;
  /** Whose answer the call waits for. */
  readonly needs?: 'APPROVAL' | 'CLIENT';
}

/** What a tool has returned: a JSON value, or a text. */
export interface ToolOutput {
  readonly json?: unknown;
  readonly text?: string;
  readonly isTruncated: boolean;
  readonly startedAt?: string;
  readonly endedAt?: string;
}
