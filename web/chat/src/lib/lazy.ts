/** A part of the page that is loaded when it is first needed, for `useLazy`. */
import { useEffect, useSyncExternalStore } from 'react';

export interface Lazy<Module> {
  readonly load: () => void;
  readonly subscribe: (listener: () => void) => () => void;
  readonly get: () => Module | undefined;
}

/** Loads once. A load that fails is tried again when the part is next needed. */
export function lazy<Module>(load: () => Promise<Module>): Lazy<Module> {
  const listeners = new Set<() => void>();
  let module: Module | undefined;
  let isLoading = false;
  const finish = (loaded?: Module) => {
    module = loaded;
    isLoading = false;
    for (const listener of listeners) listener();
  };
  return {
    load: () => {
      if (module !== undefined || isLoading) return;
      isLoading = true;
      load().then(finish, () => {
        finish();
      });
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get: () => module,
  };
}

/** The part, or undefined until it is there. */
export function useLazy<Module>({ load, subscribe, get }: Lazy<Module>, isNeeded = true): Module | undefined {
  const module = useSyncExternalStore(subscribe, get, get);
  useEffect(() => {
    if (isNeeded) load();
  }, [isNeeded, load]);
  return module;
}
