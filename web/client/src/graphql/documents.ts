/**
 * The GraphQL documents. They are constant: every value is passed as a variable.
 *
 * Selections are joined as text. They are no GraphQL fragments, because AppSync does not document fragments in
 * subscriptions. scripts/generate.js reads them as fragments, so that each becomes a named type.
 */

/** Writes a selection of fields of a GraphQL type. `name` is the TypeScript type of it, by default the same. */
export type Select = (type: string, fields: string, name?: string) => string;

/** All documents, with selections as `select` writes them. */
export function buildDocuments(select: Select) {
  const parts = partsOfEvents(select);
  return {
    ...conversationDocuments(select, parts),
    ...turnDocuments(select, parts),
    ...agentDocuments(select),
  };
}

export const documents = buildDocuments((_type, fields) => `{ ${fields} }`);

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
    listConversations: `query ListConversations($limit: Int, $nextToken: String) {
      listConversations(limit: $limit, nextToken: $nextToken) ${list} }`,
    getConversation: `query GetConversation($id: ID!, $limit: Int, $before: Int, $after: Int) {
      getConversation(id: $id) ${details} }`,
    getEvents: `query GetEvents($id: ID!, $limit: Int, $before: Int, $after: Int) {
      getConversation(id: $id) ${eventPage} }`,
    createConversation: `mutation CreateConversation($input: CreateConversationInput) {
      createConversation(input: $input) ${conversation} }`,
    updateConversation: `mutation UpdateConversation($input: UpdateConversationInput!) {
      updateConversation(input: $input) ${conversation} }`,
    deleteConversation: `mutation DeleteConversation($id: ID!) { deleteConversation(id: $id) ${conversation} }`,
    shareConversation: `mutation ShareConversation($input: ShareConversationInput!) {
      shareConversation(input: $input) ${participant} }`,
    unshareConversation: `mutation UnshareConversation($conversationId: ID!, $userId: ID!) {
      unshareConversation(conversationId: $conversationId, userId: $userId) ${participant} }`,
    getCitation: `query GetCitation($conversationId: ID!, $eventId: ID!, $index: Int!) {
      getCitation(conversationId: $conversationId, eventId: $eventId, index: $index) ${citedDocument} }`,
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
    sendMessage: `mutation SendMessage($input: SendMessageInput!) { sendMessage(input: $input) ${started} }`,
    cancelTurn: `mutation CancelTurn($conversationId: ID!, $id: ID!) {
      cancelTurn(conversationId: $conversationId, id: $id) ${turn} }`,
    retryTurn: `mutation RetryTurn($conversationId: ID!, $id: ID!) {
      retryTurn(conversationId: $conversationId, id: $id) ${started} }`,
    continueTurn: `mutation ContinueTurn($conversationId: ID!, $id: ID!) {
      continueTurn(conversationId: $conversationId, id: $id) ${started} }`,
    answerToolCall: `mutation AnswerToolCall($input: AnswerToolCallInput!) {
      answerToolCall(input: $input) ${started} }`,
    getTurn: `query GetTurn($conversationId: ID!, $id: ID!, $attempt: Int, $afterSequence: Int) {
      getTurn(conversationId: $conversationId, id: $id, attempt: $attempt, afterSequence: $afterSequence) ${turn} }`,
    onConversationUpdate: `subscription OnConversationUpdate($conversationId: ID!) {
      onConversationUpdate(conversationId: $conversationId) ${update} }`,
  };
}

function agentDocuments(select: Select) {
  const { agent, settings } = agentSelections(select);
  const list = select('AgentConnection', `items ${agent} nextToken`);
  const caller = select(
    'Caller',
    'id name isAdministrator messagesThisMinute messagesPerMinute tokensToday tokensPerDay',
  );
  return {
    getCaller: `query GetCaller { getCaller ${caller} }`,
    listAgents: `query ListAgents($limit: Int, $nextToken: String) {
      listAgents(limit: $limit, nextToken: $nextToken) ${list} }`,
    getAgent: `query GetAgent($id: ID!) { getAgent(id: $id) ${agent} }`,
    getAgentSettings: `query GetAgentSettings($id: ID!) { getAgent(id: $id) ${settings} }`,
    putAgent: `mutation PutAgent($input: PutAgentInput!) { putAgent(input: $input) ${settings} }`,
  };
}

/** What everybody may read of an agent, and its settings, which only administrators may read. */
function agentSelections(select: Select) {
  const inference = select('InferenceSettings', 'maxTokens temperature topP stopSequences');
  const fields = `id version name modelId inference ${inference} contextBytes maxSteps toolTimeoutSeconds`;
  const tool = 'name title description inputSchema effect approval client handler';
  const knowledge = 'knowledgeBaseId mode results search minScore queryModelId onFailure';
  const agent = select(
    'Agent',
    `${fields} tools ${select('Tool', tool)} knowledge ${select('Knowledge', knowledge)}`,
  );
  const lambda = select('LambdaTool', 'functionArn');
  const graphql = select('GraphqlTool', 'document url');
  const mcp = select('McpTool', 'url authorizationSecretArn toolName');
  const allOfTool = select('Tool', `${tool} lambda ${lambda} graphql ${graphql} mcp ${mcp}`, 'ToolSettings');
  const allOfKnowledge = select('Knowledge', `${knowledge} filter rerankModelArn`, 'KnowledgeSettings');
  const settings = select(
    'Agent',
    `${fields} systemPrompt tools ${allOfTool} knowledge ${allOfKnowledge}`,
    'AgentSettings',
  );
  return { agent, settings };
}
