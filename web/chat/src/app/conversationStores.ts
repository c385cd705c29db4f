import { createConversation, type Client, type ConversationStore } from 'parlance-client';

/** Those that were opened last stay, so that a person can go back to one without loading it again. */
const MOST_STORES = 5;

/** The stores of the conversations of a session, by their ids. */
export class ConversationStores {
  readonly #client: Client;
  readonly #stores = new Map<string, ConversationStore>();
  #fresh: { readonly agentId: string; readonly store: ConversationStore } | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  get(id: string): ConversationStore {
    const store = this.#stores.get(id) ?? createConversation(this.#client, { id });
    this.#keep(id, store);
    return store;
  }

  /** The store of a new conversation with an agent. It is the same one until its first message is sent. */
  fresh(agentId: string): ConversationStore {
    if (this.#fresh?.agentId === agentId) return this.#fresh.store;
    const store = createConversation(this.#client, { agentId });
    this.#fresh = { agentId, store };
    return store;
  }

  /** The new conversation has got its id. */
  adopt(id: string, store: ConversationStore): void {
    if (this.#fresh?.store === store) this.#fresh = undefined;
    this.#keep(id, store);
  }

  forget(id: string): void {
    this.#stores.get(id)?.dispose();
    this.#stores.delete(id);
  }

  #keep(id: string, store: ConversationStore): void {
    this.#stores.delete(id);
    this.#stores.set(id, store);
    const [oldest] = this.#stores.keys();
    if (this.#stores.size > MOST_STORES && oldest !== undefined) this.#stores.delete(oldest);
  }
}
