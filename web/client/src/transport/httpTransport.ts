/** The transport of fetch and WebSocket. */
import { closedError } from '../errors.js';
import type { Credentials } from './credentials.js';
import { endpointOf } from './endpoint.js';
import { request, type HttpOptions } from './http.js';
import { Realtime, type WebSocketConstructor } from './realtime/realtime.js';
import type { Transport } from './transport.js';

export interface ClientOptions {
  /** The URL of the GraphQL API. */
  readonly url: string;
  /** By default AppSync's own, or `url` with `/realtime`. */
  readonly realtimeUrl?: string;
  readonly credentials: Credentials;
  /** By default that of the environment, as the next three. */
  readonly fetch?: typeof globalThis.fetch;
  readonly WebSocket?: WebSocketConstructor;
  /** At least 0 and less than 1. */
  readonly random?: () => number;
  /** The time in ms since any one moment. */
  readonly now?: () => number;
}

/** Throws a `TypeError` where `url` is no absolute http or https URL. */
export function httpTransport(options: ClientOptions): Transport {
  const { credentials, random = Math.random, now = Date.now } = options;
  const endpoint = endpointOf(options.url, options.realtimeUrl);
  const closing = new AbortController();
  const http: HttpOptions = {
    endpoint,
    credentials,
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    closed: closing.signal,
  };
  const { WebSocket = (globalThis as Partial<typeof globalThis>).WebSocket } = options;
  const realtime = new Realtime({ endpoint, credentials, WebSocket, random, now });
  return {
    request: (document, variables, signal) => request(http, document, variables, signal),
    subscribe: (document, variables, observer) => realtime.subscribe(document, variables, observer),
    close() {
      closing.abort(closedError());
      realtime.close();
    },
  };
}
