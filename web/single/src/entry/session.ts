/** Keeps a connection for a conversation: opens it again, sends its messages, and wakes it in time. */
import type { Connection, OpenConnection } from './connection.js';
import { Deadline } from './connection.js';
import { EntryConversation, type EntryView } from './conversation.js';
import { parseMessage } from './messages.js';
import { PartJoiner } from './parts.js';

/** The longest wait before the first new connection, in ms. It doubles with each further one. */
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

export type ConnectionPhase = 'CONNECTING' | 'CONNECTED' | 'WAITING';

export interface SessionSnapshot extends EntryView {
  readonly connection: ConnectionPhase;
  /** Whether a connection was ever open. Without one, the URL or the credential may be wrong. */
  readonly hasConnected: boolean;
  /** Why the entry point has refused the last connection, if it said so. */
  readonly reason: string | undefined;
}

/** How long to wait before the next connection, in ms. `failures` counts from 1, `random` is in 0 … 1. */
export function reconnectDelay(failures: number, random: number): number {
  return Math.min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY) * random;
}

export class EntrySession {
  readonly #open: OpenConnection;
  readonly #conversation: EntryConversation;
  readonly #parts = new PartJoiner();
  readonly #listeners = new Set<() => void>();
  readonly #alarm: Deadline;
  readonly #reconnect: Deadline;
  #connection: Connection | undefined;
  #failures = 0;
  #snapshot: SessionSnapshot;

  constructor(open: OpenConnection, conversation = new EntryConversation(() => crypto.randomUUID())) {
    this.#open = open;
    this.#conversation = conversation;
    const state = { connection: 'CONNECTING', hasConnected: false, reason: undefined } as const;
    this.#snapshot = { ...conversation.view(), ...state };
    this.#alarm = new Deadline(() => {
      this.#change((now) => {
        this.#conversation.advance(now);
      });
    });
    this.#reconnect = new Deadline(() => {
      this.#connect();
    });
  }

  /** Connects, until `stop`. */
  start(): void {
    addEventListener('online', this.#connectNow);
    this.#connect();
  }

  stop(): void {
    removeEventListener('online', this.#connectNow);
    this.#alarm.clear();
    this.#reconnect.clear();
    this.#connection?.close();
    this.#connection = undefined;
    this.#conversation.onDisconnected(performance.now());
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): SessionSnapshot => this.#snapshot;

  send(text: string): void {
    this.#change((now) => {
      this.#conversation.send(text, now);
    });
  }

  sendAgain(turnId: string): void {
    this.#change((now) => {
      this.#conversation.sendAgain(turnId, now);
    });
  }

  cancel(turnId: string): void {
    this.#change((now) => {
      this.#conversation.cancel(turnId, now);
    });
  }

  retry(turnId: string): void {
    this.#change((now) => {
      this.#conversation.retry(turnId, now);
    });
  }

  continue(turnId: string): void {
    this.#change((now) => {
      this.#conversation.continue(turnId, now);
    });
  }

  answerToolCall(turnId: string, toolUseId: string, approved: boolean): void {
    this.#change((now) => {
      this.#conversation.answerToolCall(turnId, toolUseId, approved, now);
    });
  }

  readonly #connectNow = (): void => {
    if (this.#snapshot.connection === 'WAITING') this.#connect();
  };

  #connect(): void {
    this.#reconnect.clear();
    this.#set({ connection: 'CONNECTING' });
    this.#connection = this.#open({
      onOpen: () => {
        this.#failures = 0;
        this.#set({ connection: 'CONNECTED', hasConnected: true, reason: undefined });
        this.#change((now) => {
          this.#conversation.onConnected(now);
        });
      },
      onMessage: (message) => {
        this.#change((now) => {
          this.#onMessage(message, now);
        });
      },
      onClose: (reason) => {
        this.#onClose(reason);
      },
    });
  }

  #onMessage(json: unknown, now: number): void {
    const parsed = parseMessage(json);
    const message = parsed?.type === 'part' ? parseMessage(this.#parts.add(parsed)) : parsed;
    if (message && message.type !== 'part') this.#conversation.onMessage(message, now);
  }

  #onClose(reason: string | undefined): void {
    this.#connection = undefined;
    this.#parts.clear();
    this.#failures += 1;
    this.#reconnect.start(reconnectDelay(this.#failures, Math.random()));
    this.#change((now) => {
      this.#conversation.onDisconnected(now);
    });
    this.#set({ connection: 'WAITING', reason });
  }

  /** Lets something happen to the conversation, and does what follows from it. */
  #change(action: (now: number) => void): void {
    const now = performance.now();
    action(now);
    for (let next = this.#conversation.pollMessage(); next; next = this.#conversation.pollMessage()) {
      this.#connection?.send(next);
    }
    const wakeAt = this.#conversation.wakeAt();
    if (wakeAt === undefined || wakeAt === Infinity) this.#alarm.clear();
    else this.#alarm.start(Math.max(wakeAt - now, 0));
    this.#set(this.#conversation.view());
  }

  #set(changed: Partial<SessionSnapshot>): void {
    const next = { ...this.#snapshot, ...changed };
    const names = Object.keys(next) as (keyof SessionSnapshot)[];
    if (names.every((name) => next[name] === this.#snapshot[name])) return;
    this.#snapshot = next;
    for (const listener of this.#listeners) listener();
  }
}
