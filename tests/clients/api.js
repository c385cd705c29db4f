// Where the API under test is, and the documents that both clients run unchanged.
import WebSocket from 'ws';

// Node 22 and browsers have it built in.
globalThis.WebSocket ??= WebSocket;

export const url = required('PARLANCE_URL');
export const apiKey = required('PARLANCE_API_KEY');

const event = `{
  id conversationId position turnId sender { kind id name } content { text } text stopReason
  usage { inputTokens outputTokens totalTokens } failure { code message retryable } superseded createdAt
}`;

export const createConversation = `mutation CreateConversation($input: CreateConversationInput) {
  createConversation(input: $input) { id title agentId createdAt lastActivityAt }
}`;

export const sendMessage = `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) { id conversationId status run attempt }
}`;

export const getConversation = `query GetConversation($id: ID!) {
  getConversation(id: $id) { id title agentId activeTurn { id status } events { items ${event} hasMore } }
}`;

export const getTurn = `query GetTurn($conversationId: ID!, $id: ID!) {
  getTurn(conversationId: $conversationId, id: $id) {
    id status attempt question ${event} answer ${event}
    batches { attempt sequence metadata { status contentBlockIndex agentPartialMessage note } } hasMoreBatches
  }
}`;

export const onConversationUpdate = `subscription OnConversationUpdate($conversationId: ID!) {
  onConversationUpdate(conversationId: $conversationId) {
    conversationId turnId attempt sequence
    metadata { status contentBlockIndex agentPartialMessage note }
    event ${event}
  }
}`;

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set: the server prints its URL and API key when it starts.`);
  return value;
}
