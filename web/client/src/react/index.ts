/** The stores as React hooks, for React 18 and 19. */
import { useMemo, useState, useSyncExternalStore } from 'react';
import {
  createConversation,
  createConversationList,
  type Client,
  type ConversationList,
  type ConversationListSnapshot,
  type ConversationOptions,
  type ConversationSnapshot,
  type ConversationStore,
} from '../index.js';
import type { Store } from '../store/snapshot.js';

/** Renders again when the store changes. */
export function useSnapshot<Snapshot>(store: Store<Snapshot>): Snapshot {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

/**
 * A conversation and its store, or a new one without an id. The store follows the conversation while the
 * component is mounted. When a new conversation gets its id, `id` may follow: the store stays the same.
 * Options count when the store is made.
 */
export function useConversation(
  client: Client,
  id?: string,
  options?: Omit<ConversationOptions, 'id'>,
): { store: ConversationStore; snapshot: ConversationSnapshot } {
  const [current, setCurrent] = useState(() => open(client, id, options));
  const isSame =
    current.client === client &&
    (current.id === id || (id !== undefined && id === current.store.getSnapshot().id));
  const next = isSame ? current : open(client, id, options);
  if (next !== current || current.id !== id) setCurrent({ ...next, id });
  return { store: next.store, snapshot: useSnapshot(next.store) };
}

function open(client: Client, id: string | undefined, options: Omit<ConversationOptions, 'id'> | undefined) {
  return { client, id, store: createConversation(client, { ...options, ...(id !== undefined && { id }) }) };
}

/** The caller's conversations and their store, which is kept up to date while the component is mounted. */
export function useConversationList(client: Client): {
  store: ConversationList;
  snapshot: ConversationListSnapshot;
} {
  const store = useMemo(() => createConversationList(client), [client]);
  return { store, snapshot: useSnapshot(store) };
}
