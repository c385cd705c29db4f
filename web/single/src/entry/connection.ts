/** One connection to an entry point. */
import type { OutgoingMessage } from './messages.js';

export interface Connection {
  send(message: OutgoingMessage): void;
  /** Calls nothing of the observer any more. */
  close(): void;
}

export interface ConnectionObserver {
  /** Messages can be sent, and are received. */
  onOpen(): void;
  /** A JSON value. */
  onMessage(message: unknown): void;
  /** It has ended, or could not be opened. `reason` is a sentence, where the entry point gives one. */
  onClose(reason: string | undefined): void;
}

/** Opens a connection. Whatever goes wrong is told to `onClose`. */
export type OpenConnection = (observer: ConnectionObserver) => Connection;

/** How long a connection may take until it is open, and how long the answer to a ping, in ms. */
export const ANSWER_TIMEOUT = 15_000;

/** A timer that is started again before it ends as long as all is well. */
export class Deadline {
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onEnd: () => void;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  start(milliseconds: number): void {
    this.clear();
    this.#timer = setTimeout(this.#onEnd, milliseconds);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** The JSON value of a frame; undefined for others. */
export function parseJson(data: unknown): unknown {
  try {
    return typeof data === 'string' ? (JSON.parse(data) as unknown) : undefined;
  } catch {
    return undefined;
  }
}
