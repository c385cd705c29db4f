/**
 * Ends the check of a subscription: whoever came this far may listen, and is told nothing yet.
 */
export function request() {
  return { payload: null };
}

/** Nothing: a value would be delivered as the first update. */
export function response() {
  return null;
}
