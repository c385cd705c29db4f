/** What the client needs of the outside. */
import type { ParlanceError } from '../errors.js';

/** `createClient` makes a transport of fetch and WebSocket, `amplifyTransport` makes one of `generateClient()`. */
export interface Transport {
  /**
   * Executes a query or a mutation and returns the `data` of its response. Rejects with a `ParlanceError`,
   * also where the response has data and errors.
   */
  request<Data>(document: string, variables: Variables, signal?: AbortSignal): Promise<Data>;
  /** Follows a subscription, across connections. `observer` is never called before this has returned. */
  subscribe(document: string, variables: Variables, observer: SubscriptionObserver): Subscription;
  /** Ends all subscriptions and refuses all later requests. */
  close(): void;
}

export type Variables = Readonly<Record<string, unknown>>;

export interface Subscription {
  /** Ends the subscription. The observer is not called any more. */
  unsubscribe(): void;
}

export interface SubscriptionObserver {
  /** AppSync has acknowledged the subscription, for the first time or again: updates before may have been missed. */
  onSubscribed(): void;
  /** The `data` of one update. */
  onData(data: unknown): void;
  /** The connection has changed its state. Called with the current state first. */
  onState(state: ConnectionState): void;
  /** Refused for good: nothing follows. */
  onError(error: ParlanceError): void;
}

/**
 * `CONNECTING`: a connection is being opened. `CONNECTED`: updates arrive. `WAITING_TO_RECONNECT`: the
 * connection was lost, or could not be opened; another try follows within 20 seconds. `OFFLINE`: the same
 * while the browser says that there is no network; another try also follows as soon as there is one.
 * `CLOSED`: nothing is connected, and no try follows.
 */
export type ConnectionState = 'CONNECTING' | 'CONNECTED' | 'WAITING_TO_RECONNECT' | 'OFFLINE' | 'CLOSED';
