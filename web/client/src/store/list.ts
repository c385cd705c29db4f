/** The store of the caller's conversations. */
import type { Client } from '../client.js';
import { ParlanceError } from '../errors.js';
import type { Conversation } from '../generated/schema.js';
import { Notifier } from './notifier.js';
import { share } from '../reassembly/share.js';
import type { ConversationDetails, Store } from './snapshot.js';
import { detailsOf } from './state.js';

/**
 * The conversations of the caller and those shared with the caller, latest activity first. The list is read
 * again every 30 seconds while it has a listener and the page is visible (less often where it is long: every
 * 30 seconds for each 100 conversations), and when the page becomes visible.
 */
export interface ConversationList extends Store<ConversationListSnapshot> {
  /** Loads the next page. Does nothing where there is none. */
  loadMore(): Promise<void>;
  /** Reads the list again, as far as it is loaded. */
  refresh(): Promise<void>;
  /** Shows only conversations with this text in their title. All pages are loaded for it. */
  search(text: string): void;
  /** Changes the title at once; changes it back where the API refuses. An empty title removes it. */
  rename(id: string, title: string): Promise<void>;
  /** Deletes the conversation. It leaves the list at once, and comes back where the API refuses. */
  remove(id: string): Promise<void>;
  /** Takes over what is newer here, such as the `conversation` of a snapshot after a message was sent. */
  put(conversation: ConversationDetails): void;
  /** Ends all timers and requests. The snapshot stays. */
  dispose(): void;
}

export interface ConversationListSnapshot {
  readonly phase: 'LOADING' | 'READY' | 'FAILED';
  /** Why the list cannot be read; only in the phase FAILED, in which it has the conversations that were put. */
  readonly error?: ParlanceError;
  readonly items: readonly ConversationDetails[];
  /** Whether the API has more; false at 2,000 conversations, which are not exceeded. */
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  readonly search: string;
}

export function createConversationList(client: Client): ConversationList {
  return new List(client);
}

/** The API's largest page. */
const PAGE_SIZE = 100;
const MAX_ITEMS = 2_000;
const REFRESH_INTERVAL = 30_000;
/** How long the API's list may lack a change, in ms: its index follows the table with a delay. */
const INDEX_DELAY = 5_000;

interface State {
  readonly phase: ConversationListSnapshot['phase'];
  readonly error?: ParlanceError;
  /** In the order of the API. */
  readonly items: readonly ConversationDetails[];
  readonly nextToken: string | null;
  readonly isLoadingMore: boolean;
  readonly search: string;
  /** What was changed here, by the ids of conversations. */
  readonly changes: ReadonlyMap<string, Change>;
}

interface Change {
  readonly conversation?: ConversationDetails;
  readonly title?: string;
  readonly isRemoved?: boolean;
  /** A list that is read from then on has the change. In ms since 1970. */
  readonly listedAt: number;
}

class List implements ConversationList {
  readonly #client: Client;
  readonly #notifier = new Notifier();
  readonly #disposed = new AbortController();
  #state: State = {
    phase: 'LOADING',
    items: [],
    nextToken: null,
    isLoadingMore: false,
    search: '',
    changes: new Map(),
  };
  #snapshot: { readonly of: State; readonly value: ConversationListSnapshot } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Settles when the reads before have ended: one goes on from the other's pages. */
  #reads: Promise<unknown> = Promise.resolve();

  constructor(client: Client) {
    this.#client = client;
    if (typeof document === 'undefined') return;
    const { signal } = this.#disposed;
    const onVisible = () => {
      this.#refreshNow();
    };
    document.addEventListener('visibilitychange', onVisible, { signal });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    const isFirst = !this.#notifier.hasListeners;
    const remove = this.#notifier.add(listener);
    if (isFirst) this.#refreshNow();
    return remove;
  };

  readonly getSnapshot = (): ConversationListSnapshot => {
    if (this.#snapshot?.of !== this.#state) {
      this.#snapshot = { of: this.#state, value: share(this.#snapshot?.value, snapshotOf(this.#state)) };
    }
    return this.#snapshot.value;
  };

  async loadMore(): Promise<void> {
    await this.#read(async () => {
      const { items, nextToken } = this.#state;
      if (nextToken === null || items.length >= MAX_ITEMS) return;
      this.#set({ isLoadingMore: true });
      try {
        const page = await this.#client.listConversations({ limit: PAGE_SIZE, nextToken });
        this.#set({ items: joined(items, page.items), nextToken: page.nextToken });
      } finally {
        this.#set({ isLoadingMore: false });
      }
    });
  }

  async refresh(): Promise<void> {
    await this.#read(async () => {
      const startedAt = Date.now();
      const loaded = this.#state.items.length;
      let items: readonly ConversationDetails[] = [];
      let nextToken: string | null = null;
      do {
        const page = await this.#client.listConversations({ limit: PAGE_SIZE, nextToken });
        items = joined(items, page.items);
        nextToken = page.nextToken;
      } while (nextToken !== null && items.length < Math.min(Math.max(loaded, 1), MAX_ITEMS));
      const changes = new Map([...this.#state.changes].filter(([, { listedAt }]) => listedAt > startedAt));
      this.#set({ phase: 'READY', items, nextToken, changes });
    });
  }

  search(text: string): void {
    this.#set({ search: text });
    void this.#loadForSearch();
  }

  async rename(id: string, title: string): Promise<void> {
    await this.#change(id, { title }, () => this.#client.updateConversation({ id, title }));
  }

  async remove(id: string): Promise<void> {
    await this.#change(id, { isRemoved: true }, () => this.#client.deleteConversation(id));
  }

  put(conversation: ConversationDetails): void {
    const known = this.#state.changes.get(conversation.id);
    if (known?.isRemoved || known?.conversation === conversation) return;
    const listedAt = Math.max(known?.listedAt ?? 0, Date.now() + INDEX_DELAY);
    this.#setChange(conversation.id, { ...known, conversation, listedAt });
  }

  dispose(): void {
    this.#disposed.abort();
    clearTimeout(this.#timer);
  }

  #isWatched(): boolean {
    const isVisible = typeof document === 'undefined' || document.visibilityState === 'visible';
    return isVisible && this.#notifier.hasListeners && !this.#disposed.signal.aborted;
  }

  /** Refreshes now, and then again and again while somebody watches. A failure is in the snapshot. */
  #refreshNow(): void {
    clearTimeout(this.#timer);
    const refreshLater = () => {
      const pages = Math.max(1, Math.ceil(this.#state.items.length / PAGE_SIZE));
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#refreshNow();
      }, REFRESH_INTERVAL * pages);
    };
    if (this.#isWatched()) this.refresh().then(refreshLater, refreshLater);
  }

  async #loadForSearch(): Promise<void> {
    const isIncomplete = () => this.#state.search !== '' && this.getSnapshot().hasMore;
    try {
      while (isIncomplete() && !this.#disposed.signal.aborted) await this.loadMore();
    } catch (error) {
      // What is loaded is searched; the error is in the snapshot.
      if (!(error instanceof ParlanceError)) throw error;
    }
  }

  async #read(read: () => Promise<void>): Promise<void> {
    const done = this.#reads.then(read);
    this.#reads = done.catch(() => undefined);
    try {
      await done;
    } catch (error) {
      // A list that was read once is shown until it can be read again.
      if (error instanceof ParlanceError && this.#state.phase !== 'READY') {
        this.#set({ phase: 'FAILED', error });
      }
      throw error;
    }
  }

  async #change(
    id: string,
    change: Omit<Change, 'listedAt'>,
    request: () => Promise<unknown>,
  ): Promise<void> {
    const before = this.#state.changes.get(id);
    this.#setChange(id, { ...before, ...change, listedAt: Infinity });
    try {
      await request();
      this.#setChange(id, { ...before, ...change, listedAt: Date.now() + INDEX_DELAY });
    } catch (error) {
      this.#setChange(id, before);
      throw error;
    }
  }

  #setChange(id: string, change: Change | undefined): void {
    const changes = new Map(this.#state.changes);
    if (change) changes.set(id, change);
    else changes.delete(id);
    this.#set({ changes });
  }

  #set(state: Partial<State>): void {
    this.#state = { ...this.#state, ...state };
    this.#notifier.notify();
  }
}

function snapshotOf({
  phase,
  error,
  items,
  nextToken,
  isLoadingMore,
  search,
  changes,
}: State): ConversationListSnapshot {
  const searched = search.trim().toLocaleLowerCase();
  const isFound = ({ title = '' }: ConversationDetails) => title.toLocaleLowerCase().includes(searched);
  return {
    phase,
    ...(phase === 'FAILED' && error && { error }),
    items: changed(items, changes).filter(isFound),
    hasMore: nextToken !== null && items.length < MAX_ITEMS,
    isLoadingMore,
    search,
  };
}

/** The items with the changes that were made here; those that have become newer move up. */
function changed(
  items: readonly ConversationDetails[],
  changes: ReadonlyMap<string, Change>,
): ConversationDetails[] {
  let list = [...items];
  for (const [id, { conversation, title, isRemoved }] of changes) {
    const listed = list.find((item) => item.id === id);
    const known = conversation ?? listed;
    if (!known) continue;
    const renamed = title === undefined ? known : { ...known, title };
    if (isRemoved) list = list.filter((item) => item !== listed);
    else if (listed?.lastActivityAt !== known.lastActivityAt) list = inserted(list, renamed);
    else list = list.map((item) => (item === listed ? renamed : item));
  }
  return list;
}

function inserted(
  list: readonly ConversationDetails[],
  conversation: ConversationDetails,
): ConversationDetails[] {
  const others = list.filter(({ id }) => id !== conversation.id);
  const found = others.findIndex(({ lastActivityAt }) => lastActivityAt < conversation.lastActivityAt);
  const index = found === -1 ? others.length : found;
  return [...others.slice(0, index), conversation, ...others.slice(index)];
}

/** A conversation that moves up while pages are read may be on two of them. */
function joined(
  items: readonly ConversationDetails[],
  page: readonly Conversation[],
): readonly ConversationDetails[] {
  const known = new Set(items.map(({ id }) => id));
  return [...items, ...page.map(detailsOf).filter(({ id }) => !known.has(id))];
}
