/** Performs the effects of the state machine with real sockets, timers and credentials. Decides nothing. */
import { ParlanceError } from '../../errors.js';
import { connectionHeader, subscriptionHeader, type Credentials } from '../credentials.js';
import type { Endpoint } from '../endpoint.js';
import type { ConnectionState, Subscription, SubscriptionObserver, Variables } from '../transport.js';
import { Connection, type Effect, type Signal } from './connection.js';
import { parseFrame, textOf } from './frames.js';
import { watchNetwork } from './network.js';

/** What is used of a `WebSocket`: that of browsers, of Node 22 or of the package ws. */
export interface WebSocketLike {
  addEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    listener: (event: { readonly type: string; readonly data?: unknown }) => void,
  ): void;
  send(text: string): void;
  close(): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface RealtimeOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  /** Undefined where there is none: then subscriptions are refused. */
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly random: () => number;
  /** The time in ms since any one moment. */
  readonly now: () => number;
}

interface Owner {
  readonly observer: SubscriptionObserver;
  toldState: ConnectionState | undefined;
}

/** One connection for all subscriptions, opened with the first and closed five seconds after the last. */
export class Realtime {
  readonly #options: RealtimeOptions;
  readonly #connection = new Connection();
  readonly #owners = new Map<string, Owner>();
  #lastId = 0;
  #socket: WebSocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #endWatch: (() => void) | undefined;
  #isPerforming = false;

  constructor(options: RealtimeOptions) {
    this.#options = options;
  }

  subscribe(document: string, variables: Variables, observer: SubscriptionObserver): Subscription {
    const id = String(++this.#lastId);
    this.#owners.set(id, { observer, toldState: undefined });
    this.#connection.subscribe(id, JSON.stringify({ query: document, variables }), this.#options.now());
    // The caller has its subscription before its observer is called.
    queueMicrotask(() => {
      this.#watch();
      this.#perform();
    });
    return {
      unsubscribe: () => {
        this.#owners.delete(id);
        this.#input((connection, now) => {
          connection.unsubscribe(id, now);
        });
      },
    };
  }

  close(): void {
    this.#owners.clear();
    this.#connection.close();
    this.#perform();
  }

  /** Performs all effects, also those of what observers do meanwhile. */
  #perform(): void {
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    do {
      let effect: Effect | undefined;
      while ((effect = this.#connection.pollEffect()) !== undefined) this.#performOne(effect);
      this.#tellStates();
    } while (this.#connection.hasEffects());
    this.#isPerforming = false;
    if (this.#owners.size === 0) this.#unwatch();
    this.#setTimer();
  }

  #performOne(effect: Effect): void {
    switch (effect.type) {
      case 'OPEN':
        void this.#open(effect.socket);
        return;
      case 'AUTHORIZE':
        void this.#authorize(effect.socket, effect.id, effect.operation);
        return;
      case 'SEND':
        this.#socket?.send(textOf(effect.frame));
        return;
      case 'CLOSE':
        this.#socket?.close();
        this.#socket = undefined;
        return;
      case 'DELIVER':
        this.#tellStates();
        this.#deliver(effect.id, effect.signal);
        return;
    }
  }

  async #open(socket: number): Promise<void> {
    const { endpoint, credentials } = this.#options;
    try {
      const header = await connectionHeader(credentials, endpoint);
      if (this.#connection.isCurrent(socket)) {
        this.#connect(socket, `header-${base64Url(JSON.stringify(header))}`);
      }
    } catch (error) {
      this.#failed(socket, undefined, error);
    }
  }

  #connect(number: number, header: string): void {
    const { WebSocket, endpoint } = this.#options;
    if (WebSocket === undefined) {
      throw new Error('this environment has no WebSocket: pass one to createClient');
    }
    // AppSync reads the credentials from a sub-protocol, because browsers cannot set headers on a WebSocket.
    const socket = new WebSocket(endpoint.realtimeUrl, ['graphql-ws', header]);
    this.#socket = socket;
    const onLost = (): void => {
      this.#input((connection, now, random) => {
        connection.onLost(number, random, now);
      });
    };
    socket.addEventListener('open', () => {
      this.#input((connection, now) => {
        connection.onOpened(number, now);
      });
    });
    socket.addEventListener('message', ({ data }) => {
      this.#input((connection, now, random) => {
        connection.onFrame(number, parseFrame(data), random, now);
      });
    });
    socket.addEventListener('close', onLost);
    socket.addEventListener('error', onLost);
  }

  async #authorize(socket: number, id: string, operation: string): Promise<void> {
    const { endpoint, credentials } = this.#options;
    try {
      const header = await subscriptionHeader(credentials, endpoint, operation);
      this.#input((connection, now) => {
        connection.onAuthorized(socket, id, header, now);
      });
    } catch (error) {
      this.#failed(socket, id, error);
    }
  }

  #failed(socket: number, id: string | undefined, cause: unknown): void {
    const error = cause instanceof ParlanceError ? cause : cannotOpen(cause);
    this.#input((connection, now, random) => {
      connection.onCredentialsFailed(socket, id, error, random, now);
    });
  }

  #input(tell: (connection: Connection, now: number, random: number) => void): void {
    tell(this.#connection, this.#options.now(), this.#options.random());
    this.#perform();
  }

  #tellStates(): void {
    const { state } = this.#connection;
    for (const owner of [...this.#owners.values()]) {
      if (owner.toldState === state) continue;
      owner.toldState = state;
      call(() => {
        owner.observer.onState(state);
      });
    }
  }

  #deliver(id: string, signal: Signal): void {
    const observer = this.#owners.get(id)?.observer;
    if (!observer) return;
    if (signal.type === 'REFUSED') this.#owners.delete(id);
    call(() => {
      switch (signal.type) {
        case 'SUBSCRIBED':
          observer.onSubscribed();
          break;
        case 'DATA':
          observer.onData(signal.data);
          break;
        case 'REFUSED':
          observer.onError(signal.error);
      }
    });
  }

  #watch(): void {
    this.#endWatch ??= watchNetwork({
      onNetwork: (isOnline) => {
        this.#input((connection, now, random) => {
          connection.onNetwork(isOnline, random, now);
        });
      },
      onShown: () => {
        this.#input((connection, now, random) => {
          connection.onShown(random, now);
        });
      },
    });
  }

  #unwatch(): void {
    this.#endWatch?.();
    this.#endWatch = undefined;
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const at = this.#connection.wakeAt();
    if (at === undefined) return;
    this.#timer = setTimeout(() => {
      this.#input((connection, now, random) => {
        connection.advance(random, now);
      });
    }, at - this.#options.now());
  }
}

/** An error that an observer throws is its own: it is reported, and the connection goes on. */
function call(observer: () => void): void {
  try {
    observer();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function cannotOpen(cause: unknown): ParlanceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ParlanceError('NETWORK', `The connection cannot be opened: ${reason}`, {
    retryable: false,
    cause,
  });
}

function base64Url(text: string): string {
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
  return btoa(bytes.join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
