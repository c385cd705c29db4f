/** Connects the subscription and the requests of one conversation with the rule. */
import type { Client } from '../client.js';
import { ParlanceError } from '../errors.js';
import type { ConversationWithEvents, EventPage } from '../generated/schema.js';
import { ConversationReassembly, type Fetch, type TurnQuery, type TurnView } from '../reassembly/index.js';
import type { ConnectionState, Subscription } from '../transport/transport.js';

/** The API's largest page of events. */
const LARGEST_PAGE = 100;

export interface FollowerObserver {
  /** Turns as they are displayed now. */
  onViews(views: readonly TurnView[]): void;
  /** The conversation with its newest events. */
  onOpened(conversation: ConversationWithEvents): void;
  /** Events after those that were known. */
  onEvents(page: EventPage): void;
  onState(state: ConnectionState): void;
  /** The conversation, which had no title, has this one now. */
  onTitle(title: string): void;
  /** The conversation cannot be read or followed any more. */
  onFailed(error: ParlanceError): void;
}

/** Follows from `start` to `stop`, and goes on without a gap when it is started again. */
export class Follower {
  /** Settles when the conversation was read, or cannot be. */
  readonly opened: Promise<void>;
  readonly #client: Client;
  readonly #id: string;
  readonly #pageSize: number;
  readonly #observer: FollowerObserver;
  readonly #rule = new ConversationReassembly();
  #subscription: Subscription | undefined;
  #isSubscribed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settle: { resolve: () => void; reject: (error: ParlanceError) => void } | undefined;

  constructor(client: Client, id: string, pageSize: number, observer: FollowerObserver) {
    this.#client = client;
    this.#id = id;
    this.#pageSize = pageSize;
    this.#observer = observer;
    this.opened = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.opened.catch(() => undefined);
  }

  start(): void {
    if (this.#subscription) return;
    this.#subscription = this.#client.followUpdates(this.#id, {
      onSubscribed: () => {
        this.#isSubscribed = true;
        this.#rule.onSubscribed();
        this.#move();
      },
      onUpdate: (update) => {
        this.#rule.onUpdate(update, Date.now());
        this.#move();
      },
      onState: (state) => {
        this.#observer.onState(state);
      },
      onError: (error) => {
        this.#fail(error);
      },
    });
    // The history does not wait for the subscription, whose acknowledgement makes the rule look again.
    this.#rule.onSubscribed();
    this.#move();
  }

  stop(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#isSubscribed = false;
    clearTimeout(this.#timer);
  }

  /** The turn was started by this client. With `mayHaveEnded` it is read at once. */
  expectTurn(turnId: string, mayHaveEnded: boolean): void {
    this.#rule.expectTurn(turnId, Date.now());
    // The rule reads a turn that it expects already.
    if (mayHaveEnded) this.#rule.expectTurn(turnId, Date.now());
    this.#move();
  }

  #move(): void {
    if (!this.#subscription) return;
    for (let fetch = this.#rule.pollFetch(); fetch; fetch = this.#rule.pollFetch()) void this.#send(fetch);
    for (let change = this.#rule.pollChange(); change; change = this.#rule.pollChange()) {
      if ('title' in change) this.#observer.onTitle(change.title);
    }
    this.#observer.onViews(this.#rule.views());
    clearTimeout(this.#timer);
    const wakeAt = this.#rule.wakeAt();
    if (wakeAt === undefined) return;
    this.#timer = setTimeout(() => {
      this.#rule.advance(Date.now());
      this.#move();
    }, wakeAt - Date.now());
  }

  async #send(fetch: Fetch): Promise<void> {
    try {
      if (fetch.type === 'turn') await this.#fetchTurn(fetch.turnId, fetch.query);
      else if (fetch.after === undefined) await this.#open();
      else await this.#fetchEvents(fetch.after);
    } catch (error) {
      if (!(error instanceof ParlanceError)) throw error;
      if (!error.retryable) {
        this.#fail(error);
        return;
      }
      if (fetch.type === 'turn') this.#rule.onTurnFailed(fetch.turnId, Date.now());
      else this.#rule.onEventsFailed(Date.now());
    }
    this.#move();
  }

  async #open(): Promise<void> {
    const conversation = await this.#client.getConversation(this.#id, { limit: this.#pageSize });
    this.#observer.onOpened(conversation);
    this.#settle?.resolve();
    this.#rule.onEvents(conversation, Date.now());
    // Later attempts of the newest turn may continue its answer, so the rule has to know it.
    const newest = conversation.events?.items.at(-1)?.turnId;
    if (newest) this.expectTurn(newest, this.#isSubscribed);
  }

  async #fetchEvents(after: number): Promise<void> {
    const page = await this.#client.getEvents(this.#id, { limit: LARGEST_PAGE, after });
    this.#observer.onEvents(page);
    this.#rule.onEvents(page, Date.now());
  }

  async #fetchTurn(id: string, { attempt, afterSequence }: TurnQuery): Promise<void> {
    const turn = await this.#client.getTurn({
      conversationId: this.#id,
      id,
      ...(attempt !== undefined && { attempt }),
      afterSequence,
    });
    this.#rule.onTurn(turn, Date.now());
  }

  #fail(error: ParlanceError): void {
    this.stop();
    this.#observer.onFailed(error);
    this.#settle?.reject(error);
  }
}
