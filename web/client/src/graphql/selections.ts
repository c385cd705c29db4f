/**
 * What the documents select of each type. scripts/generate.js makes a TypeScript type of each, with its name.
 * They are texts and no GraphQL fragments, because AppSync does not document fragments in subscriptions.
 */

export const failure = '{ code message retryable }';
export const usage = '{ inputTokens outputTokens totalTokens cacheReadTokens cacheWriteTokens }';
export const citation = '{ number title source url passage score page start end }';
export const toolUse = '{ id name title input }';
export const toolResult = '{ toolUseId status json text truncated startedAt endedAt }';
export const reasoning = '{ text milliseconds }';
export const contentBlock = `{ text citations ${citation} toolUse ${toolUse} toolResult ${toolResult}
  reasoning ${reasoning} }`;
export const guardrailIntervention = '{ source policies }';
export const sender = '{ kind id name }';
export const conversationEvent = `{ id conversationId position turnId attempt sender ${sender}
  content ${contentBlock} text stopReason usage ${usage} failure ${failure} superseded replacesTurnId
  modelId guardrail ${guardrailIntervention} createdAt }`;

export const toolCall = '{ id name title status note }';
export const agentMetadata = `{ status contentBlockIndex agentPartialMessage agentPartialReasoning citations ${citation}
  note noteCode continues toolCall ${toolCall} pending ${toolCall} }`;
export const agentBatch = `{ attempt sequence metadata ${agentMetadata} }`;
export const turn = `{ id conversationId status run attempt failure ${failure} question ${conversationEvent}
  answer ${conversationEvent} batches ${agentBatch} hasMoreBatches pending ${toolCall} usage ${usage} }`;
/** Without its question and answer: those arrive as updates, and loading them would delay the response. */
export const startedTurn = `{ id conversationId status run attempt failure ${failure} }`;
export const activeTurn = '{ id status }';
export const conversationUpdate = `{ conversationId turnId attempt sequence metadata ${agentMetadata}
  event ${conversationEvent} title }`;

const details = `id title agentId activeTurn ${activeTurn} createdAt lastActivityAt ownerId access`;
export const conversationEventConnection = `{ items ${conversationEvent} hasMore }`;
const events = `events(limit: $limit, before: $before, after: $after) ${conversationEventConnection}`;
export const participant = '{ conversationId userId access sharedAt }';
export const conversation = `{ ${details} }`;
export const conversationWithEvents = `{ ${details} participants ${participant} ${events} }`;
export const eventPage = `{ activeTurn ${activeTurn} ${events} }`;
export const conversationConnection = `{ items ${conversation} nextToken }`;
export const citedDocument = `{ citation ${citation} url expiresAt }`;

export const tool = '{ name title description effect approval client handler }';
export const knowledge = '{ knowledgeBaseId mode }';
/** Without the schemas of its tools, which may be long, and without what only administrators may read. */
export const agent = `{ id version name modelId tools ${tool} knowledge ${knowledge} }`;
export const agentConnection = `{ items ${agent} nextToken }`;
export const caller = `{ id name isAdministrator messagesThisMinute messagesPerMinute tokensToday
  tokensPerDay }`;
