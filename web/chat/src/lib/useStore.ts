import type { Store } from 'parlance-client';
import { useCallback, useSyncExternalStore } from 'react';

/** The snapshot of a store, and a new render with each new one. */
export function useStore<Snapshot>(store: Store<Snapshot>): Snapshot {
  const subscribe = useCallback((listener: () => void) => store.subscribe(listener), [store]);
  const getSnapshot = useCallback(() => store.getSnapshot(), [store]);
  return useSyncExternalStore(subscribe, getSnapshot);
}
