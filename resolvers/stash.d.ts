/**
 * The stash: what the functions of one pipeline hand to one another. A member has one meaning in every
 * pipeline.
 *
 * A function writes a member in its request or response handler; functions later in the same pipeline read
 * it. A reader's pipeline always has a writer before it. A member is optional where the writer writes it only
 * in some cases.
 *
 * AppSync resolvers cannot import files of their own, only @aws-appsync/utils. So helpers that several
 * functions need are copied: shared.js is their source of truth. Only the type check of tests/lint reads this
 * file; it is not deployed.
 */
interface Stash {
  /**
   * The caller: `<issuer>#<subject>` of a token, `IAM#…` of a signature, `API_KEY` for everybody with the
   * key. Written by auth/authenticate.
   */
  userId: string;
  /** A name for people; null where the caller's token has none. Written by auth/authenticate. */
  userName: string | null;
  /** Whether the caller may put agents and read their system prompts. Written by auth/authenticate. */
  isAdministrator: boolean;
  /**
   * The caller's groups, at most 100, for the filters of documents. Written by auth/authenticate; read by
   * turns/startTurn.
   */
  groups: string[];
  /**
   * Where the answer goes besides the subscriptions. Missing but in requests of the gateway. Written by
   * auth/authenticate; read by messages/putUserMessage, turns/requeueTurn and turns/putToolAnswer.
   */
  replyTo?: ReplyTo;
  /**
   * The field's value is null, whatever the last function returned. Written by turns/loadTurn; read by
   * auth/authenticate.
   */
  resolvesToNull?: boolean;

  /**
   * The id of the message and of its turn. Written by messages/validateMessage; read by the rest of
   * sendMessage.
   */
  turnId: string;
  /**
   * The id of the conversation to send to: the argument's, or that of the conversation that the same first
   * message has begun. Written by messages/validateMessage; read by messages/authorizeSend.
   */
  conversationId?: string | null;
  /**
   * The conversation: its item in the table, or what is known of one that does not exist yet.
   * Written by messages/validateMessage (a new one), messages/authorizeSend, messages/checkIdempotentReplay,
   * conversations/authorizeConversation, and conversations/putConversation.
   */
  conversation: StoredConversation;
  /**
   * An item for the transaction of a participant: it fails once the participant may no longer write. Missing
   * for the owner. Written by messages/authorizeSend and conversations/authorizeConversation; read by
   * messages/putUserMessage, turns/cancelTurn, turns/requeueTurn and turns/putToolAnswer.
   */
  writePermission?: TransactionItem;
  /**
   * An item for the transaction of a first message with an id: it fails where the id has begun a conversation
   * within a day. Written by messages/validateMessage; read by messages/putUserMessage.
   */
  firstMessage?: TransactionItem;
  /**
   * At most 200 newest events of the conversation, newest first. Written by messages/authorizeSend; read by
   * turns/startTurn.
   */
  recentEvents: StoredEvent[];
  /**
   * The event that has the message's id, among recentEvents. Written by messages/authorizeSend; read by
   * turns/loadTurn and messages/putUserMessage.
   */
  existingMessage?: StoredEvent;

  /** The id of the agent to load. Written and read by agents/loadAgent. */
  agentId: string;
  /**
   * The tools of the agent to put, as they are stored. Written by agents/validateAgent and, with the members
   * that the handler derives, by agents/checkTools; read by agents/checkTools and agents/putAgent.
   */
  tools: Tool[];
  /**
   * The knowledge of the agent to put, as it is stored. Written by agents/validateAgent; read by
   * agents/checkTools and agents/putAgent.
   */
  knowledge?: Knowledge;
  /**
   * The agent's current version, or that of a turn which goes on after a wait. Written by agents/loadAgent
   * and agents/putAgent; read by agents/listAgents, auth/sealCredential, one-shot/invokeModel,
   * turns/startTurn, turns/failIfInvokeFailed.
   */
  agent: Agent;
  /**
   * The version of the agent before putAgent; undefined where the agent is new. Written by
   * agents/loadAgentVersion; read by agents/putAgent.
   */
  agentVersion?: number;

  /**
   * The turn with its effective status. Written by turns/loadTurn; read by agents/loadAgent,
   * turns/attachBatches, turns/prepareClosingEvent, turns/cancelTurn, turns/announceEnd, turns/requeueTurn,
   * turns/validateToolAnswer, turns/putToolAnswer, turns/startTurn and messages/putUserMessage.
   */
  turn: LoadedTurn;
  /**
   * How a turn without a live handler is closed. Written by turns/prepareClosingEvent, page by page; read by
   * turns/cancelTurn, turns/requeueTurn, messages/putUserMessage and turns/startTurn.
   */
  closing?: Closing;
  /**
   * A turn that waited was cancelled, and its end is not announced. Written by turns/cancelTurn; read by
   * turns/announceEnd.
   */
  announcesEnd?: boolean;
  /**
   * The answer to store. Written by turns/validateToolAnswer; read by turns/putToolAnswer.
   */
  toolAnswer: ToolAnswer;
  /**
   * The answer that the call has already. Written by turns/validateToolAnswer; read by turns/putToolAnswer.
   */
  storedAnswer?: ToolAnswer | null;
  /**
   * The order to publish the new state of an answered call while others still wait. Written by
   * turns/putToolAnswer; read by turns/startTurn.
   */
  toolCallUpdate?: ToolCallUpdate;
  /**
   * The user's event. Written by messages/putUserMessage and messages/checkIdempotentReplay; read by
   * turns/startTurn.
   */
  question?: StoredEvent;
  /**
   * The turn that the field returns, queued for a new run unless the order is a replay or other tool calls
   * still wait. Written by messages/putUserMessage, messages/checkIdempotentReplay, turns/requeueTurn and
   * turns/putToolAnswer; read by turns/startTurn and turns/failIfInvokeFailed.
   */
  queuedTurn: StoredTurn;
  /**
   * The same order was stored before, so this request stores nothing.
   * Written by messages/putUserMessage, messages/checkIdempotentReplay, turns/requeueTurn and
   * turns/putToolAnswer; read by turns/failIfInvokeFailed.
   */
  isReplay?: boolean;
  /**
   * The replayed turn needs no start: it was started less than a minute ago, or has ended. Written by
   * messages/putUserMessage, messages/checkIdempotentReplay, turns/requeueTurn and turns/putToolAnswer; read
   * by turns/startTurn.
   */
  isStarted?: boolean;
  /**
   * The item that has the message's id, or what is known of it. Written by messages/putUserMessage; read by
   * messages/checkIdempotentReplay.
   */
  conflictItem?: any;
  /**
   * The caller's credential, sealed for the handler, or why there is none. Missing where the agent has no
   * tools that run as the caller. Written by auth/sealCredential; read by one-shot/invokeModel,
   * turns/putToolAnswer and turns/startTurn.
   */
  callerCredential?: CallerCredential;
  /**
   * The turn of a one-shot question. Neither it nor its conversation is stored. Written by
   * one-shot/validateInput; read by auth/sealCredential and one-shot/invokeModel.
   */
  oneShot?: { conversationId: string; turnId: string };
  /** Lambda refused the invocation. Written by turns/startTurn; read by turns/failIfInvokeFailed. */
  invokeFailed?: boolean;
  /**
   * What turns/failIfInvokeFailed changes in the turn. Written by its request handler, read by its response
   * handler.
   */
  failedTurnChange?: Partial<StoredTurn>;

  /**
   * The names of a transaction's items, in the order of its cancellation reasons. Written by the request
   * handler of a function that writes one, read by its response handler.
   */
  transactionItemNames: string[];
  /**
   * The quotas that the transaction checks. Written by a request handler, read by the response handler of the
   * same function.
   */
  quotas: Quota[];

  /** The page that turns/listAnswer has read up to now, and where its next page begins. */
  answer?: StoredEvent[];
  nextAnswerPosition?: number;

  /**
   * Where getCitation looks for its event. Written by citations/locateEvent and, page by page, by
   * citations/findCitation; read by citations/findCitation.
   */
  eventSearch: EventSearch;
  /**
   * The citation that getCitation returns. Missing while its event is not found. Written by
   * citations/findCitation; read by citations/findCitation and citations/linkDocument.
   */
  citation?: any;

  /**
   * The event before a page of events that has more before it. Written by conversations/listEvents; read by
   * conversations/markSuperseded.
   */
  precedingEvent?: StoredEvent;

  /**
   * The participant, as it was read or is written; null where the user has no part. Written by
   * sharing/authorizeShare.
   */
  participant?: Participant | null;

  /**
   * The agent's event, with everything that is stored of it. Written and read by publishing/putAgentEvent.
   */
  event: StoredEvent;
  /**
   * The event was in the table before this publish. Written by publishing/putAgentEvent; read by
   * publishing/markAnnounced.
   */
  wasStoredBefore?: boolean;
}

/** A TurnStatus of the schema. */
type TurnStatus = string;

interface Failure {
  code: string;
  message: string;
  retryable: boolean;
}

interface StoredConversation {
  id: string;
  agentId: string;
  eventCount: number;
  /** Set where the message begins the conversation: no item of it is in the table. */
  isNew?: boolean;
  sk?: string;
  owner?: string;
  activeTurnId?: string;
  deletedAt?: string;
  participantCount?: number;
  title?: string;
  createdAt?: string;
  lastActivityAt?: string;
  listKey?: string;
  listSort?: string;
  ownerId?: string;
  /** An Access of the schema. */
  access?: string;
}

interface StoredEvent {
  id: string;
  conversationId: string;
  turnId: string;
  /** Missing in a user's event. */
  attempt?: number;
  position: number;
  sender: { kind: string; id?: string | null; name?: string | null };
  /** In an agent's event: the model that answered. */
  modelId?: string;
  /** In an agent's event: what a guardrail did. */
  guardrail?: { source?: string; policies: string[] };
  content: ContentBlock[];
  createdAt: string;
  /** Set where the content is not exactly one block. */
  text?: string;
  /** In a user's event, after a retry: the agent's events of the turn up to this position are superseded. */
  answerPosition?: number;
  /** In a user's event: the turn that it has replaced. */
  replacesTurnId?: string;
  failure?: Failure;
  stopReason?: string;
  /** In a user's event: so are all events of its turn, which another message has replaced. */
  superseded?: boolean;
  usage?: unknown;
  pk?: string;
  sk?: string;
}

/** One member is set. The text of an event has neither reasoning nor tool calls nor their results. */
interface ContentBlock {
  text?: string;
  /** Only beside a text. */
  citations?: any[];
  toolUse?: any;
  toolResult?: any;
  reasoning?: Reasoning;
}

/** The schema has no `signature` and no `redacted`: only the handler reads them, from the table. */
interface Reasoning {
  text: string;
  milliseconds?: number;
  signature?: string;
  redacted?: string;
}

/** Times are milliseconds since 1970; positions are those of the conversation. */
interface StoredTurn {
  id: string;
  conversationId: string;
  status: TurnStatus;
  run: number;
  attempt: number;
  lastSequence: number;
  lastEventSequence: number;
  questionPosition: number;
  answerPosition: number;
  /**
   * The answer's events up to this position are kept, whatever attempt stored them. It is where the run
   * begins, and then the position of the last event with tool calls or their results.
   */
  runPosition: number;
  lastPosition: number;
  /** Whether the current run continues the answer, or replaces it. Missing in the first run. */
  continues?: boolean;
  announced: boolean;
  claimableUntil: number;
  /** The id of the message that has replaced the turn: all events of the turn are superseded. */
  replacedBy?: string;
  /** When Lambda was last asked to run the handler. */
  startedAt?: number;
  leaseUntil?: number;
  holder?: string;
  failure?: Failure;
  usage?: unknown;
  createdAt?: string;
  /** The calls of a turn that waits: those that need an answer, and those of the same step that have one. */
  pending?: ToolCall[];
  /** Until when they may be answered. */
  pendingUntil?: number;
  /** The position of the event that has these calls. Like what follows, kept until a retry or continue. */
  pendingPosition?: number;
  /** The agent that made the calls, and its version. */
  agentId?: string;
  agentVersion?: number;
  /** The user for whom the run works. Missing for the API key. */
  askedBy?: string;
  /**
   * That user's, of the newest answer for which it could be sealed. A resolver that ends the turn removes it.
   */
  callerCredential?: CallerCredential;
  /**
   * Where the run's answer goes besides the subscriptions. A run after the answers to tool calls
   * keeps it, unless an answer of the user who asked names another place.
   */
  replyTo?: ReplyTo;
}

/** A ReplyTo of the schema. */
interface ReplyTo {
  events?: string;
  /** The table keeps the connection under the user's id. */
  websocket?: { connectionId: string; userId: string };
  stream?: boolean;
  requestId?: string;
  /** The user, where this one is not the owner of the conversation. */
  participantId?: string;
}

/** The state of a tool call. */
interface ToolCall {
  id: string;
  name: string;
  title?: string;
  /** A ToolStatus of the schema. */
  status: string;
  note?: string;
}

/** `result` is JSON text. */
interface ToolAnswer {
  approved?: boolean;
  reason?: string;
  result?: string;
  isError?: boolean;
  answeredBy: string;
  expiresAt?: number;
}

/** A payload of the handler. */
interface ToolCallUpdate {
  type: string;
  conversationId: string;
  turnId: string;
  run: number;
  attempt: number;
  sequence: number;
  toolCall: ToolCall;
}

/** `status` is the effective one. `pending` is missing unless it is WAITING. */
interface LoadedTurn extends StoredTurn {
  storedStatus: TurnStatus;
  storedPending?: ToolCall[];
}

interface EventSearch {
  /** The turn's positions after the user's event. */
  first: number;
  last: number;
  /** Of the table: where the next page begins. */
  nextToken?: string | null;
}

interface Closing {
  /** The text that was published and is in no event, by the index of its content block. */
  textByBlock: { [index: number]: string };
  /** The reasoning that was published and is in no event, by the same index. */
  reasoningByBlock: { [index: number]: string };
  /** The citations of this text, by the same index. */
  citationsByBlock: { [index: number]: any[] };
  /** The indexes of these content blocks, in the order in which they began. */
  blocks: number[];
  lastSequenceRead: number;
  /** False while there may be more batches than were read. */
  allPagesRead: boolean;
  /** Whether event and turnChange are there: all batches were read, and one event can hold their blocks. */
  isWhole: boolean;
  /** The event that keeps the text. */
  event?: any;
  turnChange?: any;
}

interface Agent {
  id: string;
  version: number;
  name?: string;
  modelId: string;
  systemPrompt?: string | null;
  inference?: any;
  contextBytes: number;
  tools: Tool[];
  maxSteps: number;
  toolTimeoutSeconds: number;
  /** Missing where the agent answers without documents. */
  knowledge?: Knowledge;
  /** Missing for the model's own default. */
  reasoning?: { effort?: string | null; budgetTokens?: number | null };
  /** A PromptCaching of the schema. */
  promptCaching: string;
  fallbackModelIds: string[];
  /** Missing where the deployment has none. In the table, the members that the agent has of its own. */
  guardrail?: Guardrail;
}

interface Guardrail {
  id?: string | null;
  version?: string;
  /** A GuardrailMode of the schema. */
  mode?: string;
  newestMessageOnly?: boolean;
  /** GuardrailSettings of the schema. Missing in the table. */
  ownSettings?: string[];
}

interface Knowledge {
  knowledgeBaseId: string;
  /** A KnowledgeMode of the schema. */
  mode: string;
  results: number;
  /** A KnowledgeSearch of the schema. */
  search?: string;
  minScore?: number;
  /** JSON text. */
  filter?: string | null;
  rerankModelArn?: string | null;
  queryModelId?: string;
  /** A KnowledgeFailure of the schema. */
  onFailure: string;
}

interface Tool {
  name: string;
  title?: string;
  /** Missing in an MCP server without a description, and in a tool that its server does not describe. */
  description?: string;
  /** JSON text. Missing in a GraphQL operation until the handler has derived it, and in an MCP server. */
  inputSchema?: string;
  /** A ToolEffect of the schema. Missing until agents/checkTools where it was not given. */
  effect?: string;
  /** A ToolApproval of the schema. Missing until agents/checkTools where it was not given. */
  approval?: string;
  /** One of the following is set. */
  lambda?: { functionArn: string };
  graphql?: { document: string; url?: string };
  handler?: boolean;
  client?: boolean;
  /** A server, for which agents/checkTools puts its tools; or one of these tools. */
  mcp?: McpServer | McpTool;
}

interface McpServer {
  url: string;
  authorizationSecretArn?: string;
  /** The names, at the server, of the tools that the agent gets. All of them when missing. */
  tools?: string[];
}

interface McpTool {
  url: string;
  authorizationSecretArn?: string;
  /** The tool's name at the server. */
  toolName: string;
}

/** `sealed` is the ciphertext of KMS, in base64. */
interface CallerCredential {
  /** API_KEY, TOKEN or NONE. */
  kind: string;
  sealed?: string;
  /** Of NONE: IAM, ON_BEHALF, TOO_LONG, NOT_SEALED or DISABLED. */
  reason?: string;
}

interface Participant {
  conversationId: string;
  userId: string;
  access: string;
  sharedAt: string;
  listKey?: string;
  listSort?: string;
}

/** One item as transactWrite of @aws-appsync/utils/dynamodb takes it. */
interface TransactionItem {
  putItem?: any;
  updateItem?: any;
  deleteItem?: any;
  conditionCheck?: any;
}

interface Quota {
  name: string;
  /** As the environment has it: a whole number; 0 is no limit. */
  limit: string;
  /** When the next period begins, in ISO 8601. */
  retryAt: string;
  /** An item of a TransactWriteItems request. */
  item: any;
}
