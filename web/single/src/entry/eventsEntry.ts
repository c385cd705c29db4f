/** An API of AWS AppSync Events, over its WebSocket. */
import { isApiKey, type Channels } from './channel.js';
import {
  ANSWER_TIMEOUT,
  Deadline,
  parseJson,
  type Connection,
  type ConnectionObserver,
  type OpenConnection,
} from './connection.js';
import type { OutgoingMessage } from './messages.js';

const SUBSCRIPTION = 'responses';
/** AppSync sends a keep-alive each minute, and says in its first frame how long to wait for one. In ms. */
const DEFAULT_TIMEOUT = 300_000;

export interface EventsOptions {
  /** The output EventsUrl. */
  readonly url: string;
  /** An API key or a token. */
  readonly credential: string;
  readonly channels: Channels;
}

export function eventsEntry(options: EventsOptions): OpenConnection {
  return (observer) => new EventsConnection(options, observer);
}

/** AppSync's hosts for HTTP and for WebSockets differ; a domain of one's own and the local server have one. */
export function eventsRealtimeUrl(url: string): string {
  const realtime = new URL('/event/realtime', url);
  realtime.protocol = realtime.protocol === 'http:' ? 'ws:' : 'wss:';
  realtime.hostname = realtime.hostname.replace(/^([^.]+)\.appsync-api\./, '$1.appsync-realtime-api.');
  return realtime.href;
}

interface Frame {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly event?: unknown;
  readonly connectionTimeoutMs?: unknown;
  readonly errors?: readonly { readonly message?: unknown; readonly errorType?: unknown }[];
  readonly failed?: readonly { readonly message?: unknown }[];
}

class EventsConnection implements Connection {
  readonly #socket: WebSocket;
  readonly #observer: ConnectionObserver;
  readonly #channels: Channels;
  readonly #authorization: Record<string, string>;
  readonly #isAlive: Deadline;
  #timeout = DEFAULT_TIMEOUT;
  #isClosed = false;

  constructor({ url, credential, channels }: EventsOptions, observer: ConnectionObserver) {
    const { host } = new URL(url);
    this.#observer = observer;
    this.#channels = channels;
    this.#authorization = isApiKey(credential)
      ? { host, 'x-api-key': credential }
      : { host, Authorization: credential };
    const header = `header-${base64Url(JSON.stringify(this.#authorization))}`;
    this.#socket = new WebSocket(eventsRealtimeUrl(url), ['aws-appsync-event-ws', header]);
    this.#isAlive = new Deadline(() => {
      this.#end(undefined);
    });
    this.#isAlive.start(ANSWER_TIMEOUT);
    this.#socket.addEventListener('open', () => {
      this.#write({ type: 'connection_init' });
    });
    this.#socket.addEventListener('message', ({ data }) => {
      const frame = parseJson(data);
      if (!this.#isClosed && typeof frame === 'object' && frame !== null) this.#onFrame(frame);
    });
    // An error is always followed by it.
    this.#socket.addEventListener('close', () => {
      this.#end(undefined);
    });
  }

  /** The id of the frame is that of the message, because a refused publish names it. */
  send(message: OutgoingMessage): void {
    const { request: channel } = this.#channels;
    const events = [JSON.stringify(message)];
    this.#write({ type: 'publish', id: message.id, channel, events, authorization: this.#authorization });
  }

  close(): void {
    this.#isClosed = true;
    this.#isAlive.clear();
    this.#socket.close();
  }

  #onFrame(frame: Frame): void {
    switch (frame.type) {
      case 'connection_ack':
        if (typeof frame.connectionTimeoutMs === 'number') this.#timeout = frame.connectionTimeoutMs;
        this.#write({
          type: 'subscribe',
          id: SUBSCRIPTION,
          channel: this.#channels.responses,
          authorization: this.#authorization,
        });
        break;
      case 'subscribe_success':
        this.#isAlive.start(this.#timeout);
        this.#observer.onOpen();
        break;
      case 'connection_error':
      case 'subscribe_error':
        this.#end(sentenceOf(frame) ?? 'AppSync refuses the connection.');
        break;
      case 'data':
        this.#isAlive.start(this.#timeout);
        this.#observer.onMessage(parseJson(frame.event));
        break;
      case 'publish_success':
        // The channel's handler refuses single messages.
        if (frame.failed?.[0]) this.#refuse(frame.id, 'InvalidInput', textOf(frame.failed[0].message));
        break;
      case 'publish_error':
        this.#refuse(frame.id, textOf(frame.errors?.[0]?.errorType) ?? 'Unavailable', sentenceOf(frame));
        break;
      case 'ka':
        this.#isAlive.start(this.#timeout);
        break;
    }
  }

  /** The message that the backend would have sent, had it got the refused one. */
  #refuse(id: unknown, code: string, message: string | undefined): void {
    this.#observer.onMessage({ type: 'error', id, code, message });
  }

  #end(reason: string | undefined): void {
    if (this.#isClosed) return;
    this.close();
    this.#observer.onClose(reason);
  }

  #write(frame: object): void {
    this.#socket.send(JSON.stringify(frame));
  }
}

function sentenceOf({ errors }: Frame): string | undefined {
  return textOf(errors?.[0]?.message) ?? textOf(errors?.[0]?.errorType);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function base64Url(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
