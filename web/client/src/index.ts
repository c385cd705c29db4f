export { getAgentSettings, listModels, putAgent } from './administration.js';
export { createClientOf } from './client.js';
export type { Client, EventPageOptions, RequestOptions, UpdateObserver } from './client.js';
export { createClient } from './createClient.js';
export { ParlanceError } from './errors.js';
export type { ApiErrorCode, ErrorCode, ErrorDetails } from './errors.js';
export type * from './generated/schema.js';
export * from './reassembly/index.js';
export { createConversation } from './store/conversation.js';
export type { ConversationOptions } from './store/conversation.js';
export { createConversationList } from './store/list.js';
export type { ConversationList, ConversationListSnapshot } from './store/list.js';
export { messageText } from './store/messageText.js';
export type * from './store/snapshot.js';
export { clientTools } from './store/tools.js';
export type { ClientToolCall, ClientToolFunctions, ClientTools } from './store/tools.js';
export type { Credentials, HttpHeaders, SignableRequest } from './transport/credentials.js';
export type { ClientOptions } from './transport/httpTransport.js';
export type { WebSocketConstructor, WebSocketLike } from './transport/realtime/realtime.js';
export type {
  ConnectionState,
  Subscription,
  SubscriptionObserver,
  Transport,
  Variables,
} from './transport/transport.js';
