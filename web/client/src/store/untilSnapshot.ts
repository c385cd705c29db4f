import type { Store } from './snapshot.js';

/** The first snapshot, from now on, of which this is true. Waits as long as it takes. */
export function untilSnapshot<Snapshot>(
  store: Store<Snapshot>,
  isTrue: (snapshot: Snapshot) => boolean,
): Promise<Snapshot> {
  return new Promise((resolve) => {
    const check = () => {
      const snapshot = store.getSnapshot();
      if (!isTrue(snapshot)) return;
      unsubscribe();
      resolve(snapshot);
    };
    const unsubscribe = store.subscribe(check);
    check();
  });
}
