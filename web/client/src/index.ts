export { createClientOf } from './client.js';
export type { Client, EventPageOptions, RequestOptions, UpdateObserver } from './client.js';
export { ParlanceError } from './errors.js';
export type { ApiErrorCode, ErrorCode } from './errors.js';
export type * from './generated/schema.js';
export * from './reassembly/index.js';
export type {
  ConnectionState,
  Subscription,
  SubscriptionObserver,
  Transport,
  Variables,
} from './transport/transport.js';
