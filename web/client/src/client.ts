/** The operations of the API as functions. */
import type {
  Agent,
  AgentConnection,
  AnswerToolCallInput,
  Caller,
  CitedDocument,
  Conversation,
  ConversationConnection,
  ConversationUpdate,
  ConversationWithEvents,
  CreateConversationInput,
  EventPage,
  GetConversationVariables,
  GetTurnVariables,
  ListAgentsVariables,
  ListConversationsVariables,
  Participant,
  SendMessageInput,
  ShareConversationInput,
  StartedTurn,
  Turn,
  UpdateConversationInput,
} from './generated/schema.js';
import { ParlanceError, isRecord } from './errors.js';
import { documents } from './graphql/documents.js';
import type { Subscription, SubscriptionObserver, Transport, Variables } from './transport/transport.js';

/** Which page of events: the newest `limit` (20 by default, at most 100), or those before or after a position. */
export type EventPageOptions = Omit<GetConversationVariables, 'id'>;

/** How one request is sent. */
export interface RequestOptions {
  /** Ends the wait for the response with the error code `ABORTED`. */
  readonly signal?: AbortSignal;
}

/** What is told of the updates of a conversation. */
export type UpdateObserver = Omit<SubscriptionObserver, 'onData'> & {
  onUpdate(update: ConversationUpdate): void;
};

/**
 * The operations of schema.graphql, which describes them. Each rejects with a `ParlanceError`: with the code
 * `NotFound` where there is no such thing. None is repeated by itself: queries may be sent again after an
 * error that is `retryable`, and so may the same `sendMessage` and `createConversation` with an `id`.
 */
export interface Client {
  readonly transport: Transport;
  getCaller(options?: RequestOptions): Promise<Caller>;
  listConversations(
    page?: ListConversationsVariables,
    options?: RequestOptions,
  ): Promise<ConversationConnection>;
  /** A conversation with its participants and one page of its events. */
  getConversation(
    id: string,
    page?: EventPageOptions,
    options?: RequestOptions,
  ): Promise<ConversationWithEvents>;
  /** The active turn and one page of events: less work for the API than `getConversation`. */
  getEvents(conversationId: string, page?: EventPageOptions, options?: RequestOptions): Promise<EventPage>;
  createConversation(input?: CreateConversationInput, options?: RequestOptions): Promise<Conversation>;
  updateConversation(input: UpdateConversationInput, options?: RequestOptions): Promise<Conversation>;
  deleteConversation(id: string, options?: RequestOptions): Promise<Conversation>;
  shareConversation(input: ShareConversationInput, options?: RequestOptions): Promise<Participant>;
  /** Resolves with undefined where the user was no participant. */
  unshareConversation(
    conversationId: string,
    userId: string,
    options?: RequestOptions,
  ): Promise<Participant | undefined>;
  sendMessage(input: SendMessageInput, options?: RequestOptions): Promise<StartedTurn>;
  cancelTurn(conversationId: string, id: string, options?: RequestOptions): Promise<Turn>;
  retryTurn(conversationId: string, id: string, options?: RequestOptions): Promise<StartedTurn>;
  continueTurn(conversationId: string, id: string, options?: RequestOptions): Promise<StartedTurn>;
  answerToolCall(input: AnswerToolCallInput, options?: RequestOptions): Promise<StartedTurn>;
  getTurn(turn: GetTurnVariables, options?: RequestOptions): Promise<Turn>;
  /** `index` counts the citations of all blocks of the event, from 0. */
  getCitation(
    conversationId: string,
    eventId: string,
    index: number,
    options?: RequestOptions,
  ): Promise<CitedDocument>;
  listAgents(page?: ListAgentsVariables, options?: RequestOptions): Promise<AgentConnection>;
  getAgent(id: string, options?: RequestOptions): Promise<Agent>;
  /** Follows the updates of a conversation, across connections. An update that is no valid one is left out. */
  followUpdates(conversationId: string, observer: UpdateObserver): Subscription;
  /** Ends all subscriptions. Later requests fail with the error code `CLOSED`. */
  close(): void;
}

/** A client that sends its requests with any transport. */
export function createClientOf(transport: Transport): Client {
  const get = <Answer>(document: string, variables: Variables, options?: RequestOptions) =>
    execute<Answer>(transport, document, variables, options);
  return {
    transport,
    getCaller: (options) => get(documents.getCaller, {}, options),
    listConversations: (page = {}, options) => get(documents.listConversations, page, options),
    getConversation: (id, page = {}, options) => get(documents.getConversation, { ...page, id }, options),
    getEvents: (id, page = {}, options) => get(documents.getEvents, { ...page, id }, options),
    createConversation: (input = {}, options) => get(documents.createConversation, { input }, options),
    updateConversation: (input, options) => get(documents.updateConversation, { input }, options),
    deleteConversation: (id, options) => get(documents.deleteConversation, { id }, options),
    shareConversation: (input, options) => get(documents.shareConversation, { input }, options),
    unshareConversation: (conversationId, userId, options) =>
      executeNullable(transport, documents.unshareConversation, { conversationId, userId }, options),
    sendMessage: (input, options) => get(documents.sendMessage, { input }, options),
    cancelTurn: (conversationId, id, options) => get(documents.cancelTurn, { conversationId, id }, options),
    retryTurn: (conversationId, id, options) => get(documents.retryTurn, { conversationId, id }, options),
    continueTurn: (conversationId, id, options) =>
      get(documents.continueTurn, { conversationId, id }, options),
    answerToolCall: (input, options) => get(documents.answerToolCall, { input }, options),
    getTurn: (turn, options) => get(documents.getTurn, turn, options),
    getCitation: (conversationId, eventId, index, options) =>
      get(documents.getCitation, { conversationId, eventId, index }, options),
    listAgents: (page = {}, options) => get(documents.listAgents, page, options),
    getAgent: (id, options) => get(documents.getAgent, { id }, options),
    followUpdates: (conversationId, observer) =>
      transport.subscribe(
        documents.onConversationUpdate,
        { conversationId },
        toSubscriptionObserver(observer),
      ),
    close: () => {
      transport.close();
    },
  };
}

/** Sends a document with one root field, and returns the field's value. Where that is null, there is no such thing. */
export async function execute<Answer>(
  transport: Transport,
  document: string,
  variables: Variables,
  options?: RequestOptions,
): Promise<Answer> {
  const answer = await executeNullable<Answer>(transport, document, variables, options);
  if (answer === undefined) throw new ParlanceError('NotFound', 'There is no such thing.');
  return answer;
}

async function executeNullable<Answer>(
  transport: Transport,
  document: string,
  variables: Variables,
  options?: RequestOptions,
): Promise<Answer | undefined> {
  const data = await transport.request<Record<string, Answer | null>>(document, variables, options?.signal);
  return Object.values(data)[0] ?? undefined;
}

/** An update without its turn is no update of a conversation: the rule finds the gap. */
function toSubscriptionObserver(observer: UpdateObserver): SubscriptionObserver {
  return {
    onSubscribed: () => {
      observer.onSubscribed();
    },
    onState: (state) => {
      observer.onState(state);
    },
    onError: (error) => {
      observer.onError(error);
    },
    onData: (data) => {
      const update = isRecord(data) ? data['onConversationUpdate'] : undefined;
      if (isRecord(update)) observer.onUpdate(update as ConversationUpdate);
    },
  };
}
