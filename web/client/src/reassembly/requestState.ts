/** The wait before a request is sent again after it failed or brought nothing new, in ms. */
const RETRY_DELAY = 1_000;

type State<Query> =
  | { readonly kind: 'IDLE' }
  | { readonly kind: 'DUE' }
  | { readonly kind: 'RETRY_AT'; readonly at: number }
  | {
      readonly kind: 'IN_FLIGHT';
      readonly query: Query;
      /** Whether the request is sent again after its response. */
      readonly isRepeated: boolean;
    };

/** State of a request of which at most one is in flight. */
export class RequestState<Query> {
  #state: State<Query> = { kind: 'IDLE' };

  /** Something may have been missed: sends a request even if one is in flight, whose response may be older. */
  markStale(): void {
    this.#state = this.#state.kind === 'IN_FLIGHT' ? { ...this.#state, isRepeated: true } : { kind: 'DUE' };
  }

  /** Something is missing: sends a request unless one is due, in flight or waiting for its retry. */
  request(): void {
    if (this.isIdle()) this.#state = { kind: 'DUE' };
  }

  /** The request failed or brought nothing new: sends it again later. */
  backOff(now: number): void {
    this.#state = { kind: 'RETRY_AT', at: now + RETRY_DELAY };
  }

  /** Nothing is missing any more. */
  cancelRetry(): void {
    if (this.#state.kind === 'RETRY_AT') this.#state = { kind: 'IDLE' };
  }

  advance(now: number): void {
    if (this.#state.kind === 'RETRY_AT' && now >= this.#state.at) this.#state = { kind: 'DUE' };
  }

  /** Whether to send the query now. `complete` or `backOff` follows. */
  poll(query: Query): boolean {
    if (this.#state.kind !== 'DUE') return false;
    this.#state = { kind: 'IN_FLIGHT', query, isRepeated: false };
    return true;
  }

  /** The response has arrived. Returns the query it answers, or undefined if no request was in flight. */
  complete(): { query: Query } | undefined {
    if (this.#state.kind !== 'IN_FLIGHT') return undefined;
    const { query, isRepeated } = this.#state;
    this.#state = { kind: isRepeated ? 'DUE' : 'IDLE' };
    return { query };
  }

  isIdle(): boolean {
    return this.#state.kind === 'IDLE';
  }

  retryAt(): number | undefined {
    return this.#state.kind === 'RETRY_AT' ? this.#state.at : undefined;
  }
}
