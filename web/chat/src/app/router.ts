/** The addresses of the page: what follows `#`, so that they work on any host and from a file. */
import { useMemo, useSyncExternalStore } from 'react';

export type Route =
  | { readonly page: 'new' }
  | { readonly page: 'conversation'; readonly id: string }
  | { readonly page: 'agents' };

/** The route of what follows `#` in an address. An unknown one is that of a new conversation. */
export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#/, '');
  const id = /^\/c\/([\w-]{1,64})$/.exec(path)?.[1];
  if (id !== undefined) return { page: 'conversation', id };
  return path === '/agents' ? { page: 'agents' } : { page: 'new' };
}

export function hrefOf(route: Route): string {
  switch (route.page) {
    case 'new':
      return '#/';
    case 'conversation':
      return `#/c/${route.id}`;
    case 'agents':
      return '#/agents';
  }
}

export function navigate(route: Route): void {
  location.hash = hrefOf(route);
}

/** Leaves no entry in the browser's history. */
export function replaceRoute(route: Route): void {
  history.replaceState(null, '', hrefOf(route));
  dispatchEvent(new HashChangeEvent('hashchange'));
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => parseRoute(hash), [hash]);
}

function subscribe(listener: () => void): () => void {
  addEventListener('hashchange', listener);
  return () => {
    removeEventListener('hashchange', listener);
  };
}
