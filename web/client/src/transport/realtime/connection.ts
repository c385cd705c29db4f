/**
 * State machine of one connection and its subscriptions. It has no clock, no socket and no credentials: the
 * caller passes in what happened and the time in ms, then performs the effects.
 */
import { closedError, ParlanceError } from '../../errors.js';
import { delayOf, type Backoff } from '../backoff.js';
import type { HttpHeaders } from '../credentials.js';
import type { ConnectionState } from '../transport.js';
import type { ClientFrame, ServerFrame } from './frames.js';

/** How long a socket with its credentials, credentials alone and an acknowledgement may take, in ms. */
const OPEN_TIMEOUT = 15_000;
const AUTHORIZE_TIMEOUT = 15_000;
const ACK_TIMEOUT = 15_000;
const RECONNECT_BACKOFF: Backoff = { first: 250, longest: 20_000 };
/** A connection that is lost earlier than this counts as another failure, in ms. */
const STABLE_AFTER = 10_000;
/** How long a connection without subscriptions stays open, in ms: pages change their conversation. */
const UNUSED_TIMEOUT = 5_000;
/** AppSync sends a keep-alive each minute. A page that is shown again trusts no longer silence, in ms. */
const SILENCE_WHEN_SHOWN = 75_000;
/** AppSync allows more subscriptions of a connection: 100 in old texts, 200 in its quotas. */
const MAX_SUBSCRIPTIONS = 100;

/** What the caller has to do. */
export type Effect =
  /** Get credentials and open a socket. `onOpened`, `onLost` or `onCredentialsFailed` follows. */
  | { readonly type: 'OPEN'; readonly socket: number }
  /** Get the credentials of a subscription. `onAuthorized` or `onCredentialsFailed` follows. */
  | {
      readonly type: 'AUTHORIZE';
      readonly socket: number;
      readonly id: string;
      /** The GraphQL operation: `{"query", "variables"}` as a JSON text. */
      readonly operation: string;
    }
  | { readonly type: 'SEND'; readonly frame: ClientFrame }
  /** Close the socket, if there is one; what is told of it from now on is ignored. */
  | { readonly type: 'CLOSE' }
  /** Tell the owner of a subscription. */
  | { readonly type: 'DELIVER'; readonly id: string; readonly signal: Signal };

export type Signal =
  /** AppSync has acknowledged the subscription, for the first time or again. */
  | { readonly type: 'SUBSCRIBED' }
  | { readonly type: 'DATA'; readonly data: unknown }
  /** No signal follows. */
  | { readonly type: 'REFUSED'; readonly error: ParlanceError };

type State =
  | { readonly kind: 'IDLE' }
  | { readonly kind: 'WAITING'; readonly until: number }
  | { readonly kind: 'OPENING'; readonly deadline: number }
  /** `connection_init` is sent. */
  | { readonly kind: 'AWAITING_ACK'; readonly deadline: number }
  | {
      readonly kind: 'ESTABLISHED';
      readonly since: number;
      /** How long AppSync may send nothing, not even a keep-alive. */
      readonly timeout: number;
      lastFrameAt: number;
      /** When the last subscription ended. Only for a connection that has none. */
      unusedSince: number;
    };

interface Entry {
  readonly operation: string;
  state:
    | { readonly kind: 'UNSENT' }
    | { readonly kind: 'AUTHORIZING'; readonly deadline: number }
    | { readonly kind: 'AWAITING_ACK'; readonly deadline: number }
    | { readonly kind: 'ACTIVE' };
}

const UNSENT = { kind: 'UNSENT' } as const;

/** After each call of a method, poll all effects. `wakeAt` says when to call `advance`. */
export class Connection {
  #current: State = { kind: 'IDLE' };
  #isOnline = true;
  #isClosed = false;
  /** The number of the socket that is opened or open. Each socket has its own. */
  #socket = 0;
  /** Failed connections since the last stable one. */
  #failures = 0;
  readonly #subscriptions = new Map<string, Entry>();
  readonly #effects: Effect[] = [];

  get state(): ConnectionState {
    switch (this.#current.kind) {
      case 'IDLE':
        return 'CLOSED';
      case 'WAITING':
        return this.#isOnline ? 'WAITING_TO_RECONNECT' : 'OFFLINE';
      case 'OPENING':
      case 'AWAITING_ACK':
        return this.#isOnline ? 'CONNECTING' : 'OFFLINE';
      case 'ESTABLISHED':
        return 'CONNECTED';
    }
  }

  /** `operation` is `{"query", "variables"}` as a JSON text. No other subscription may have had the id. */
  subscribe(id: string, operation: string, now: number): void {
    if (this.#isClosed || this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      const error = this.#isClosed
        ? closedError()
        : new ParlanceError('OTHER', `A client has at most ${MAX_SUBSCRIPTIONS} subscriptions.`);
      this.#effects.push({ type: 'DELIVER', id, signal: { type: 'REFUSED', error } });
      return;
    }
    this.#subscriptions.set(id, { operation, state: UNSENT });
    if (this.#current.kind === 'IDLE') this.#open(now);
    if (this.#current.kind === 'ESTABLISHED') this.#startSubscriptions(now);
  }

  unsubscribe(id: string, now: number): void {
    const entry = this.#subscriptions.get(id);
    if (!entry) return;
    this.#subscriptions.delete(id);
    if (entry.state.kind === 'AWAITING_ACK' || entry.state.kind === 'ACTIVE') {
      this.#send({ type: 'stop', id });
    }
    this.#releaseIfUnused(now);
  }

  /** Ends all subscriptions without a signal, and refuses later ones. */
  close(): void {
    this.#isClosed = true;
    this.#end();
  }

  onOpened(socket: number, now: number): void {
    if (!this.isCurrent(socket)) return;
    this.#current = { kind: 'AWAITING_ACK', deadline: now + ACK_TIMEOUT };
    this.#send({ type: 'connection_init' });
  }

  /** The socket could not be opened, or was closed. */
  onLost(socket: number, random: number, now: number): void {
    if (this.isCurrent(socket)) this.#reconnect(random, now);
  }

  /** The credentials of a subscription are there. */
  onAuthorized(socket: number, id: string, authorization: HttpHeaders, now: number): void {
    const entry = this.#subscriptions.get(id);
    if (!entry || !this.isCurrent(socket)) return;
    entry.state = { kind: 'AWAITING_ACK', deadline: now + ACK_TIMEOUT };
    this.#send({ type: 'start', id, operation: entry.operation, authorization });
  }

  /** There are no credentials for a subscription or, without an id, for the socket. */
  onCredentialsFailed(
    socket: number,
    id: string | undefined,
    error: ParlanceError,
    random: number,
    now: number,
  ): void {
    if (!this.isCurrent(socket)) return;
    if (error.retryable) this.#reconnect(random, now);
    else if (id === undefined) this.#refuseAll(error);
    else this.#refuse(id, error, now);
  }

  onFrame(socket: number, frame: ServerFrame, random: number, now: number): void {
    if (!this.isCurrent(socket)) return;
    if (this.#current.kind === 'ESTABLISHED') this.#current.lastFrameAt = now;
    switch (frame.type) {
      case 'connection_ack':
        this.#onConnectionAck(frame.timeout, now);
        return;
      case 'connection_error':
        if (frame.isFinal) this.#refuseAll(frame.error);
        else this.#reconnect(random, now);
        return;
      case 'start_ack':
        this.#onStartAck(frame.id);
        return;
      case 'data':
        this.#deliver(frame.id, { type: 'DATA', data: frame.data });
        return;
      case 'error':
        this.#onError(frame.id, frame.error, random, now);
        return;
      case 'complete':
        // AppSync ends a subscription on invalidation. A new one is authorized again.
        if (this.#subscriptions.has(frame.id)) this.#reconnect(random, now);
        return;
      case 'other':
        return;
    }
  }

  /**
   * What the browser says of its network. It is wrong about servers on the same machine, so that without a
   * network tries go on.
   */
  onNetwork(isOnline: boolean, random: number, now: number): void {
    const wasOnline = this.#isOnline;
    this.#isOnline = isOnline;
    if (wasOnline === isOnline) return;
    if (!isOnline) this.#reconnectIfOpen(random, now);
    if (isOnline && this.#current.kind === 'WAITING') {
      this.#failures = 0;
      this.#open(now);
    }
  }

  /** The page is shown again, perhaps after a sleep in which the connection was lost unnoticed. */
  onShown(random: number, now: number): void {
    const current = this.#current;
    if (current.kind !== 'ESTABLISHED' || now - current.lastFrameAt < SILENCE_WHEN_SHOWN) return;
    this.#reconnect(random, now);
  }

  /** The time that `wakeAt` says is there. */
  advance(random: number, now: number): void {
    if (this.#current.kind === 'WAITING') this.#open(now);
    else this.#reconnect(random, now);
  }

  /** When to call `advance`, if nothing else happens before. */
  wakeAt(): number | undefined {
    switch (this.#current.kind) {
      case 'IDLE':
        return undefined;
      case 'WAITING':
        return this.#current.until;
      case 'OPENING':
      case 'AWAITING_ACK':
        return this.#current.deadline;
      case 'ESTABLISHED': {
        const { lastFrameAt, timeout, unusedSince } = this.#current;
        const unusedUntil = this.#subscriptions.size > 0 ? Infinity : unusedSince + UNUSED_TIMEOUT;
        return Math.min(lastFrameAt + timeout, unusedUntil, ...this.#startDeadlines());
      }
    }
  }

  /** The next effect to perform. After undefined, wait for an input or for `wakeAt`. */
  pollEffect(): Effect | undefined {
    return this.#effects.shift();
  }

  hasEffects(): boolean {
    return this.#effects.length > 0;
  }

  /** Whether this is the socket that is opened or open, and not one before. */
  isCurrent(socket: number): boolean {
    return socket === this.#socket && this.#current.kind !== 'IDLE' && this.#current.kind !== 'WAITING';
  }

  #startDeadlines(): number[] {
    const states = [...this.#subscriptions.values()].map(({ state }) => state);
    return states.flatMap((state) => ('deadline' in state ? [state.deadline] : []));
  }

  #open(now: number): void {
    this.#socket++;
    this.#current = { kind: 'OPENING', deadline: now + OPEN_TIMEOUT };
    this.#effects.push({ type: 'OPEN', socket: this.#socket });
  }

  #onConnectionAck(timeout: number, now: number): void {
    if (this.#current.kind !== 'AWAITING_ACK') return;
    this.#current = { kind: 'ESTABLISHED', since: now, timeout, lastFrameAt: now, unusedSince: now };
    this.#startSubscriptions(now);
  }

  #startSubscriptions(now: number): void {
    for (const [id, entry] of this.#subscriptions) {
      if (entry.state.kind !== 'UNSENT') continue;
      entry.state = { kind: 'AUTHORIZING', deadline: now + AUTHORIZE_TIMEOUT };
      this.#effects.push({ type: 'AUTHORIZE', socket: this.#socket, id, operation: entry.operation });
    }
  }

  #onStartAck(id: string): void {
    const entry = this.#subscriptions.get(id);
    if (entry?.state.kind !== 'AWAITING_ACK') return;
    entry.state = { kind: 'ACTIVE' };
    this.#deliver(id, { type: 'SUBSCRIBED' });
  }

  /**
   * AppSync sends some errors without a subscription's id. Those are ignored unless they pass. The
   * credentials of a subscription that was acknowledged may have expired: new ones are tried.
   */
  #onError(id: string, error: ParlanceError, random: number, now: number): void {
    const wasActive = this.#subscriptions.get(id)?.state.kind === 'ACTIVE';
    if (error.retryable || (wasActive && error.code === 'UNAUTHORIZED')) this.#reconnect(random, now);
    else this.#refuse(id, error, now);
  }

  #reconnectIfOpen(random: number, now: number): void {
    if (this.#current.kind !== 'IDLE' && this.#current.kind !== 'WAITING') this.#reconnect(random, now);
  }

  /** Opens another socket after a while, or none if there is no subscription. */
  #reconnect(random: number, now: number): void {
    const current = this.#current;
    this.#closeSocket();
    if (this.#subscriptions.size === 0) {
      this.#current = { kind: 'IDLE' };
      return;
    }
    for (const entry of this.#subscriptions.values()) entry.state = UNSENT;
    const wasStable = current.kind === 'ESTABLISHED' && now - current.since >= STABLE_AFTER;
    this.#failures = wasStable ? 1 : this.#failures + 1;
    this.#current = { kind: 'WAITING', until: now + delayOf(RECONNECT_BACKOFF, this.#failures, random) };
  }

  #refuseAll(error: ParlanceError): void {
    const ids = [...this.#subscriptions.keys()];
    for (const id of ids) this.#deliver(id, { type: 'REFUSED', error });
    this.#end();
  }

  #refuse(id: string, error: ParlanceError, now: number): void {
    this.#deliver(id, { type: 'REFUSED', error });
    this.#subscriptions.delete(id);
    this.#releaseIfUnused(now);
  }

  /** A connection that is not established is closed with its last subscription, another one later. */
  #releaseIfUnused(now: number): void {
    if (this.#subscriptions.size > 0) return;
    if (this.#current.kind === 'ESTABLISHED') this.#current.unusedSince = now;
    else this.#end();
  }

  #end(): void {
    this.#subscriptions.clear();
    this.#closeSocket();
    this.#current = { kind: 'IDLE' };
  }

  #closeSocket(): void {
    this.#effects.push({ type: 'CLOSE' });
  }

  #send(frame: ClientFrame): void {
    this.#effects.push({ type: 'SEND', frame });
  }

  #deliver(id: string, signal: Signal): void {
    if (this.#subscriptions.has(id)) this.#effects.push({ type: 'DELIVER', id, signal });
  }
}
