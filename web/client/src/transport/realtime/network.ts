/** What a browser says of its network and of its page. Elsewhere there is nothing to listen to. */
export interface NetworkListener {
  onNetwork(isOnline: boolean): void;
  /** The page is shown again after it was hidden. */
  onShown(): void;
}

/** Tells the listener the present state of the network at once. Returns a function that ends the calls. */
export function watchNetwork(listener: NetworkListener): () => void {
  const { addEventListener, removeEventListener, document } = globalThis as Partial<typeof globalThis>;
  if (addEventListener === undefined || removeEventListener === undefined) return () => undefined;
  const onNetwork = (): void => {
    listener.onNetwork(navigator.onLine);
  };
  const onVisibility = (): void => {
    if (document?.visibilityState === 'visible') listener.onShown();
  };
  onNetwork();
  addEventListener('online', onNetwork);
  addEventListener('offline', onNetwork);
  document?.addEventListener('visibilitychange', onVisibility);
  return () => {
    removeEventListener('online', onNetwork);
    removeEventListener('offline', onNetwork);
    document?.removeEventListener('visibilitychange', onVisibility);
  };
}
