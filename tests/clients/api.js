// The API under test, and the GraphQL documents that both clients use.
import WebSocket from 'ws';
import { required } from './environment_variables.js';

// Node 22 and browsers have a WebSocket of their own.
globalThis.WebSocket ??= WebSocket;

export const url = required('PARLANCE_URL');

/** The auth mode in AppSync's words: API_KEY, AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT or AWS_IAM. */
export const mode = process.env.PARLANCE_MODE ?? 'API_KEY';
export const apiKey = mode === 'API_KEY' && required('PARLANCE_API_KEY');
/** A token of a user pool or of an OpenID Connect provider. */
export const token =
  ['AMAZON_COGNITO_USER_POOLS', 'OPENID_CONNECT'].includes(mode) && required('PARLANCE_TOKEN');
export const administratorKeys = {
  accessKeyId: required('AWS_ACCESS_KEY_ID'),
  secretAccessKey: required('AWS_SECRET_ACCESS_KEY'),
};
export const iamKeys = mode === 'AWS_IAM' && administratorKeys;

const toolCall = '{ id name status note }';

const event = `{
  id conversationId position turnId sender { kind id name }
  content {
    text toolUse { id name input } toolResult { toolUseId status json text startedAt endedAt }
  }
  text stopReason
  usage { inputTokens outputTokens totalTokens } failure { code message retryable } superseded replacesTurnId createdAt
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
    pending ${toolCall}
  }
}`;

export const onConversationUpdate = `subscription OnConversationUpdate($conversationId: ID!) {
  onConversationUpdate(conversationId: $conversationId) {
    conversationId turnId attempt sequence
    metadata {
      status contentBlockIndex agentPartialMessage note continues
      toolCall ${toolCall} pending ${toolCall}
    }
    event ${event}
  }
}`;

export const answerToolCall = `mutation AnswerToolCall($input: AnswerToolCallInput!) {
  answerToolCall(input: $input) { id status pending ${toolCall} }
}`;

export const putAgent = `mutation PutAgent($input: PutAgentInput!) {
  putAgent(input: $input) { id tools { name effect approval client } }
}`;

/**
 * An agent that lists the caller's conversations, renames them with an approval, and asks the page. It has
 * the id of the agent of docs/clients.md, which shows a list of all agents.
 */
export const helper = {
  id: 'helper',
  modelId: 'global.anthropic.claude-haiku-4-5-20251001-v1:0',
  tools: [
    {
      name: 'list_conversations',
      description: "Lists the user's conversations.",
      graphql: { document: '{ listConversations { items { id title } } }' },
    },
    {
      name: 'rename_conversation',
      description: "Renames one of the user's conversations.",
      graphql: {
        document: `mutation ($id: ID!, $title: String!) {
          updateConversation(input: { id: $id, title: $title }) { id title }
        }`,
      },
    },
    {
      name: 'page_title',
      description: 'The title of the page that the user sees.',
      inputSchema: '{"type":"object","properties":{}}',
      effect: 'READ',
      client: true,
    },
  ],
};
