/**
 * The GraphQL documents. They are constant: every value is passed as a variable.
 *
 * Selections are joined as text. They are no GraphQL fragments, because AppSync does not document fragments
 * in subscriptions. scripts/generate.js reads them as fragments, so that each becomes a named type.
 */

/** Writes a selection of fields of a GraphQL type. `name` is the TypeScript type of it, by default the same. */
export type Select = (type: string, fields: string, name?: string) => string;

/** Variables that name a turn. */
const TURN = 'conversationId: ID!, id: ID!';

/** What a page shows of an agent, without its schemas, which may be long. */
export const AGENT = 'id version name modelId';
export const TOOL = 'name title description effect approval client handler';
export const KNOWLEDGE = 'knowledgeBaseId mode';

/** All documents but those for administrators, with selections as `select` writes them. */
export function buildDocuments(select: Select) {
  const parts = partsOfEvents(select);
  return {
    ...conversationDocuments(select, parts),
    ...turnDocuments(select, parts),
    ...agentDocuments(select),
  };
}

export const inline: Select = (_type, fields) => `{ ${fields} }`;

export const documents = buildDocuments(inline);

function partsOfEvents(select: Select) {
  const failure = select('Failure', 'code message retryable');
  const usage = select('Usage', 'inputTokens outputTokens totalTokens cacheReadTokens cacheWriteTokens');
  const citation = select('Citation', 'number title source url passage score page start end');
  const toolUse = select('ToolUse', 'id name title input');
  const toolResult = select('ToolResult', 'toolUseId status json text truncated startedAt endedAt');
  const content = select(
    'ContentBlock',
    `text citations ${citation} toolUse ${toolUse} toolResult ${toolResult}`,
  );
  const event = select(
    'ConversationEvent',
    `id conversationId position turnId attempt sender ${select('Sender', 'kind id name')} content ${content} text
    stopReason usage ${usage} failure ${failure} superseded replacesTurnId createdAt`,
  );
  return { failure, usage, citation, event };
}

type Parts = ReturnType<typeof partsOfEvents>;

function conversationDocuments(select: Select, { citation, event }: Parts) {
  const activeTurn = select('Turn', 'id status', 'ActiveTurn');
  const events = select('ConversationEventConnection', `items ${event} hasMore`);
  const participant = select('Participant', 'conversationId userId access sharedAt');
  const fields = `id title agentId activeTurn ${activeTurn} createdAt lastActivityAt ownerId access`;
  const conversation = select('Conversation', fields);
  const further = ', limit: Int, before: Int, after: Int';
  const page = `events(limit: $limit, before: $before, after: $after) ${events}`;
  const details = select(
    'Conversation',
    `${fields} participants ${participant} ${page}`,
    'ConversationWithEvents',
  );
  const eventPage = select('Conversation', `activeTurn ${activeTurn} ${page}`, 'EventPage');
  const list = select('ConversationConnection', `items ${conversation} nextToken`);
  const citedDocument = select('CitedDocument', `citation ${citation} url expiresAt`);
  return {
    listConversations: query('listConversations', 'limit: Int, nextToken: String', list),
    getConversation: query('getConversation', 'id: ID!', details, { further }),
    getEvents: query('getEvents', 'id: ID!', eventPage, { field: 'getConversation', further }),
    createConversation: mutation('createConversation', 'input: CreateConversationInput', conversation),
    updateConversation: mutation('updateConversation', 'input: UpdateConversationInput!', conversation),
    deleteConversation: mutation('deleteConversation', 'id: ID!', conversation),
    shareConversation: mutation('shareConversation', 'input: ShareConversationInput!', participant),
    unshareConversation: mutation('unshareConversation', 'conversationId: ID!, userId: ID!', participant),
    getCitation: query('getCitation', 'conversationId: ID!, eventId: ID!, index: Int!', citedDocument),
  };
}

function turnDocuments(select: Select, { failure, usage, citation, event }: Parts) {
  const toolCall = select('ToolCall', 'id name title status note');
  const metadata = select(
    'AgentMetadata',
    `status contentBlockIndex agentPartialMessage citations ${citation} note noteCode continues
    toolCall ${toolCall} pending ${toolCall}`,
  );
  const batch = select('AgentBatch', `attempt sequence metadata ${metadata}`);
  const fields = `id conversationId status run attempt failure ${failure}`;
  const turn = select(
    'Turn',
    `${fields} question ${event} answer ${event} batches ${batch} hasMoreBatches pending ${toolCall} usage ${usage}`,
  );
  // Without its question and answer: those arrive as updates, and loading them would delay the response.
  const started = select('Turn', fields, 'StartedTurn');
  const update = select(
    'ConversationUpdate',
    `conversationId turnId attempt sequence metadata ${metadata} event ${event}`,
  );
  return {
    sendMessage: mutation('sendMessage', 'input: SendMessageInput!', started),
    cancelTurn: mutation('cancelTurn', TURN, turn),
    retryTurn: mutation('retryTurn', TURN, started),
    continueTurn: mutation('continueTurn', TURN, started),
    answerToolCall: mutation('answerToolCall', 'input: AnswerToolCallInput!', started),
    getTurn: query('getTurn', `${TURN}, attempt: Int, afterSequence: Int`, turn),
    onConversationUpdate: operation('subscription', 'onConversationUpdate', 'conversationId: ID!', update),
  };
}

function agentDocuments(select: Select) {
  const tool = select('Tool', TOOL);
  const knowledge = select('Knowledge', KNOWLEDGE);
  const agent = select('Agent', `${AGENT} tools ${tool} knowledge ${knowledge}`);
  const list = select('AgentConnection', `items ${agent} nextToken`);
  const caller = select(
    'Caller',
    'id name isAdministrator messagesThisMinute messagesPerMinute tokensToday tokensPerDay',
  );
  return {
    getCaller: query('getCaller', '', caller),
    listAgents: query('listAgents', 'limit: Int, nextToken: String', list),
    getAgent: query('getAgent', 'id: ID!', agent),
  };
}

interface Root {
  /** The root field, by default the name of the operation. */
  readonly field?: string;
  /** Variables for fields below the root field, whose own arguments are all other variables. */
  readonly further?: string;
}

export function query(name: string, variables: string, selection: string, root?: Root): string {
  return operation('query', name, variables, selection, root);
}

export function mutation(name: string, variables: string, selection: string): string {
  return operation('mutation', name, variables, selection);
}

function operation(
  kind: string,
  name: string,
  variables: string,
  selection: string,
  root: Root = {},
): string {
  const { field = name, further = '' } = root;
  const declarations = variables && `(${(variables + further).replaceAll(/\w+:/g, '$$$&')})`;
  const args = variables && `(${variables.replaceAll(/(\w+): [^,]+/g, '$1: $$$1')})`;
  return `${kind} ${name}${declarations} { ${field}${args} ${selection} }`;
}
