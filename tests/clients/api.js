// Where the API under test is, and the documents that both clients run unchanged.
import WebSocket from 'ws';

// Node 22 and browsers have it built in.
globalThis.WebSocket ??= WebSocket;

export const url = required('PARLANCE_URL');

/** As AppSync calls it: API_KEY, AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT or AWS_IAM. */
export const mode = process.env.PARLANCE_MODE ?? 'API_KEY';
export const apiKey = mode === 'API_KEY' && required('PARLANCE_API_KEY');
/** Of a user pool or of an OpenID Connect provider. */
export const token = ['AMAZON_COGNITO_USER_POOLS', 'OPENID_CONNECT'].includes(mode) && required('PARLANCE_TOKEN');
export const iamKeys = mode === 'AWS_IAM' && {
  accessKeyId: required('AWS_ACCESS_KEY_ID'),
  secretAccessKey: required('AWS_SECRET_ACCESS_KEY'),
};

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
  if (!value) throw new Error(`${name} must be set: the server prints its URL and keys when it starts, and "parlance token" a token.`);
  return value;
}
