import type { BrowserContext, WebSocketRoute } from 'playwright-core';
import { until } from './until.js';

interface Frame {
  id?: string;
  type: string;
  payload?: { data?: unknown };
}

interface Update {
  conversationId: string;
  turnId: string;
  attempt: number;
  sequence: number;
  event?: { position: number } | null;
}

/**
 * Plays an answer to the page faster than the local server publishes one. The conversation and its turn are
 * those of the server, whose model is silent: only the updates with the answer come from here.
 */
export class UpdateFeed {
  #socket: WebSocketRoute | undefined;
  /** The conversations of the subscriptions, by their ids. */
  readonly #subscribed = new Map<string | undefined, string>();
  readonly #followed = new Set<string>();
  #subscription = '';
  #turn: Update | undefined;
  #sequence = 0;
  #text = '';

  static async install(context: BrowserContext): Promise<UpdateFeed> {
    const feed = new UpdateFeed();
    await context.routeWebSocket(/\/realtime/, (socket) => {
      feed.#connect(socket);
    });
    return feed;
  }

  /** Waits until the page follows a conversation. */
  async follows(conversationId: string): Promise<void> {
    await until('the page follows the conversation', () => this.#followed.has(conversationId));
  }

  /** Waits until a turn is running. */
  async begin(): Promise<void> {
    this.#turn = undefined;
    this.#text = '';
    const turn = await until('a turn is running', () => this.#turn);
    this.#sequence = turn.sequence;
  }

  /** The next batch of the answer. */
  send(text: string): void {
    this.#text += text;
    const metadata = { status: 'RUNNING', contentBlockIndex: 0, agentPartialMessage: text };
    this.#publish({ metadata: { ...NO_METADATA, ...metadata }, event: null });
  }

  /** The event with the whole answer, which ends the turn. */
  end(): void {
    const { conversationId, turnId, attempt } = this.#running();
    const event = {
      ...NO_EVENT,
      id: `${turnId}-${attempt}-1`,
      conversationId,
      turnId,
      attempt,
      position: 2,
      sender: { kind: 'AGENT', id: 'default', name: null },
      content: [{ text: this.#text, citations: null, toolUse: null, toolResult: null }],
      text: this.#text,
      stopReason: 'END_TURN',
      createdAt: new Date().toISOString(),
    };
    this.#publish({ metadata: { ...NO_METADATA, status: 'COMPLETED' }, event });
  }

  #publish(content: object): void {
    const { conversationId, turnId, attempt } = this.#running();
    this.#sequence += 1;
    const update = { conversationId, turnId, attempt, sequence: this.#sequence, ...content };
    const frame = {
      id: this.#subscription,
      type: 'data',
      payload: { data: { onConversationUpdate: update } },
    };
    this.#socket?.send(JSON.stringify(frame));
  }

  #running(): Update {
    if (!this.#turn) throw new Error('No turn is running.');
    return this.#turn;
  }

  #connect(socket: WebSocketRoute): void {
    const server = socket.connectToServer();
    this.#socket = socket;
    socket.onMessage((message) => {
      const { id, type, payload } = JSON.parse(String(message)) as Frame;
      if (type === 'start') {
        const request = JSON.parse(String(payload?.data)) as { variables?: { conversationId?: string } };
        this.#subscribed.set(id, request.variables?.conversationId ?? '');
      }
      server.send(message);
    });
    server.onMessage((message) => {
      const frame = JSON.parse(String(message)) as Frame;
      if (frame.type === 'start_ack') this.#followed.add(this.#subscribed.get(frame.id) ?? '');
      const update = (frame.payload?.data as { onConversationUpdate?: Update } | undefined)
        ?.onConversationUpdate;
      if (update && update.turnId === this.#turn?.turnId) return; // its further numbers are given here
      if (update) {
        this.#turn = update;
        this.#subscription = frame.id ?? '';
      }
      socket.send(message);
    });
  }
}

const NO_METADATA = {
  contentBlockIndex: null,
  agentPartialMessage: null,
  citations: null,
  note: null,
  noteCode: null,
  continues: null,
  toolCall: null,
  pending: null,
};

const NO_EVENT = { usage: null, failure: null, superseded: null };
