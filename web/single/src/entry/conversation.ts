/**
 * A conversation over an entry point: what is shown, and which messages to send.
 *
 * Nothing here reads a clock or a socket. The caller passes in what happened and the time in ms since any one
 * moment, then sends what `pollMessage` gives. `wakeAt` says when to call `advance`.
 */
import { TurnReassembly, type TurnView } from 'parlance-client';
import type { EntryError, IncomingMessage, OutgoingMessage, TurnName } from './messages.js';

/** How long a message may be without an answer, in ms. */
const REQUEST_TIMEOUT = 10_000;
/** How often a message is sent in all. The same id is answered once. */
const MAX_SENDS = 5;
/** How many questions the page shows. The oldest are left out; the backend has them. */
const MAX_EXCHANGES = 500;

/** A question and its answer. An object stays the same while nothing in it changes. */
export interface Exchange {
  readonly turnId: string;
  readonly question: string;
  readonly delivery: Delivery;
  /** Undefined until the question is accepted. */
  readonly turn: TurnView | undefined;
  /** Why the last command for the turn was refused. */
  readonly refusal: EntryError | undefined;
}

export type Delivery =
  | { readonly phase: 'SENDING' }
  | { readonly phase: 'SENT' }
  | { readonly phase: 'FAILED'; readonly error: EntryError };

export interface EntryView {
  readonly exchanges: readonly Exchange[];
  /** Whether a further question may be sent: the last one has its answer, or was refused. */
  readonly canSend: boolean;
}

interface Entry {
  readonly turnId: string;
  readonly question: string;
  delivery: Delivery;
  reassembly: TurnReassembly | undefined;
  refusal: EntryError | undefined;
  shown: Exchange | undefined;
}

/** A message that waits for its answer. */
interface Request {
  readonly message: OutgoingMessage;
  readonly entry: Entry;
  sends: number;
  /** When to give it up or to send it again. */
  deadline: number;
}

export class EntryConversation {
  readonly #newId: () => string;
  readonly #requests = new Map<string, Request>();
  #entries: Entry[] = [];
  #outbox: OutgoingMessage[] = [];
  #conversationId: string | undefined;
  #isConnected = false;
  #view: EntryView = { exchanges: [], canSend: true };

  /** `newId` gives ids that nobody can guess, of 16 to 64 letters, digits and hyphens. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** Sends a question, at once or when the connection is there. */
  send(question: string, now: number): void {
    if (!this.view().canSend) return;
    const entry: Entry = {
      turnId: this.#newId(),
      question,
      delivery: { phase: 'SENDING' },
      reassembly: undefined,
      refusal: undefined,
      shown: undefined,
    };
    this.#entries = [...this.#entries, entry].slice(-MAX_EXCHANGES);
    this.#sendQuestion(entry, now);
  }

  /** Sends a question again that was refused. */
  sendAgain(turnId: string, now: number): void {
    const entry = this.#find(turnId);
    if (entry?.delivery.phase !== 'FAILED' || !this.view().canSend) return;
    entry.delivery = { phase: 'SENDING' };
    this.#sendQuestion(entry, now);
  }

  cancel(turnId: string, now: number): void {
    this.#command(turnId, now, (id, turn) => ({ action: 'cancel', id, ...turn }));
  }

  retry(turnId: string, now: number): void {
    this.#command(turnId, now, (id, turn) => ({ action: 'retry', id, stream: true, ...turn }));
  }

  continue(turnId: string, now: number): void {
    this.#command(turnId, now, (id, turn) => ({ action: 'continue', id, stream: true, ...turn }));
  }

  answerToolCall(turnId: string, toolUseId: string, approved: boolean, now: number): void {
    const answer = { action: 'answerToolCall', toolUseId, approved, stream: true } as const;
    this.#command(turnId, now, (id, turn) => ({ ...answer, id, ...turn }));
  }

  /** For the first time or again: messages before may have been lost. */
  onConnected(now: number): void {
    this.#isConnected = true;
    for (const { reassembly } of this.#entries) if (reassembly?.isOpen()) reassembly.markStale();
    for (const request of this.#requests.values()) this.#transmit(request, now);
    this.#pump(now);
  }

  onDisconnected(now: number): void {
    this.#isConnected = false;
    this.#outbox = [];
    for (const [id, request] of this.#requests) {
      // A question is sent again: its id makes it one.
      if (request.message.action === 'send') request.deadline = Infinity;
      else this.#giveUp(id, request, now);
    }
  }

  onMessage(message: Exclude<IncomingMessage, { type: 'part' }>, now: number): void {
    switch (message.type) {
      case 'accepted':
      case 'answer':
        this.#onAccepted(message.id, message, now);
        break;
      case 'delta': {
        const entry = this.#find(message.update.turnId ?? '');
        const conversationId = message.update.conversationId;
        if (entry) this.#accept(entry, conversationId, now).onUpdate(message.update, now);
        break;
      }
      case 'turn': {
        const request = this.#take(message.id);
        if (request?.message.action === 'history') request.entry.reassembly?.onTurn(message.turn, now);
        else request?.entry.reassembly?.markStale();
        break;
      }
      case 'error':
        this.#onError(message.id, message.error, now);
        break;
    }
    this.#pump(now);
  }

  advance(now: number): void {
    for (const [id, request] of this.#requests) {
      if (now >= request.deadline) this.#onDeadline(id, request, now);
    }
    for (const entry of this.#entries) entry.reassembly?.advance(now);
    this.#pump(now);
  }

  /** Undefined if nothing happens by itself. Without a connection nothing does. */
  wakeAt(): number | undefined {
    if (!this.#isConnected) return undefined;
    const deadlines = [...this.#requests.values()].map((request) => request.deadline);
    const checks = this.#entries.map((entry) => entry.reassembly?.wakeAt()).filter((at) => at !== undefined);
    const times = [...deadlines, ...checks];
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** The next message to send. */
  pollMessage(): OutgoingMessage | undefined {
    return this.#outbox.shift();
  }

  /** The same object while nothing has changed. */
  view(): EntryView {
    const exchanges = this.#entries.map(exchangeOf);
    const canSend = !this.#entries.some(isOpen);
    const { exchanges: before } = this.#view;
    const isSame =
      canSend === this.#view.canSend &&
      exchanges.length === before.length &&
      exchanges.every((exchange, index) => exchange === before[index]);
    if (!isSame) this.#view = { exchanges, canSend };
    return this.#view;
  }

  #sendQuestion(entry: Entry, now: number): void {
    const conversation = this.#conversationId === undefined ? {} : { conversationId: this.#conversationId };
    const { turnId: id, question: text } = entry;
    this.#request({ action: 'send', id, text, ...conversation, stream: true }, entry, now);
  }

  #command(turnId: string, now: number, message: (id: string, turn: TurnName) => OutgoingMessage): void {
    const entry = this.#find(turnId);
    const conversationId = this.#conversationId;
    if (!entry?.reassembly || conversationId === undefined || !this.#isConnected) return;
    entry.refusal = undefined;
    this.#request(message(this.#newId(), { conversationId, turnId }), entry, now);
  }

  #request(message: OutgoingMessage, entry: Entry, now: number): void {
    const request: Request = { message, entry, sends: 0, deadline: Infinity };
    this.#requests.set(message.id, request);
    if (this.#isConnected) this.#transmit(request, now);
  }

  #transmit(request: Request, now: number): void {
    request.sends += 1;
    request.deadline = now + REQUEST_TIMEOUT;
    this.#outbox.push(request.message);
  }

  #onAccepted(id: string | undefined, { conversationId, turnId }: TurnName, now: number): void {
    const entry = this.#find(turnId);
    if (!entry) return;
    // Not the request for a turn: only the turn answers it.
    if (id !== undefined && this.#requests.get(id)?.message.action !== 'history') this.#requests.delete(id);
    this.#accept(entry, conversationId, now).markStale();
  }

  /** The backend knows the question. */
  #accept(entry: Entry, conversationId: string, now: number): TurnReassembly {
    this.#requests.delete(entry.turnId);
    this.#conversationId ??= conversationId;
    entry.delivery = SENT;
    entry.reassembly ??= new TurnReassembly(entry.turnId, now);
    return entry.reassembly;
  }

  #onError(id: string | undefined, error: EntryError, now: number): void {
    const request = id === undefined ? undefined : this.#requests.get(id);
    if (!request || id === undefined) return;
    const { message, entry } = request;
    if (message.action === 'send' && error.code === 'Unavailable' && request.sends < MAX_SENDS) {
      // It is sent again at its deadline.
      request.deadline = now + 1000 * 2 ** (request.sends - 1);
      return;
    }
    this.#requests.delete(id);
    if (message.action === 'send') {
      entry.delivery = { phase: 'FAILED', error };
    } else if (message.action === 'history') {
      entry.reassembly?.onTurnFailed(now);
    } else {
      entry.refusal = error;
      entry.reassembly?.markStale();
    }
  }

  #onDeadline(id: string, request: Request, now: number): void {
    if (request.message.action === 'send' && request.sends < MAX_SENDS) this.#transmit(request, now);
    else this.#giveUp(id, request, now);
  }

  /** Nothing answers the message. */
  #giveUp(id: string, { message, entry }: Request, now: number): void {
    this.#requests.delete(id);
    if (message.action === 'send') entry.delivery = { phase: 'FAILED', error: NO_ANSWER };
    else if (message.action === 'history') entry.reassembly?.onTurnFailed(now);
    else entry.reassembly?.markStale();
  }

  /** Asks for what is missing of each turn. */
  #pump(now: number): void {
    for (const entry of this.#entries) {
      const { reassembly, turnId } = entry;
      if (!reassembly) continue;
      // The view shows what they did.
      while (reassembly.pollChange());
      if (!this.#isConnected || this.#conversationId === undefined) continue;
      const query = reassembly.pollQuery();
      if (!query) continue;
      const { attempt, afterSequence } = query;
      const turn = { conversationId: this.#conversationId, turnId };
      const ofAttempt = attempt === undefined ? {} : { attempt };
      const message = { action: 'history', id: this.#newId(), ...turn, ...ofAttempt, afterSequence } as const;
      this.#request(message, entry, now);
    }
  }

  #find(turnId: string): Entry | undefined {
    return this.#entries.find((entry) => entry.turnId === turnId);
  }

  #take(id: string | undefined): Request | undefined {
    if (id === undefined) return undefined;
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    return request;
  }
}

const SENT: Delivery = { phase: 'SENT' };
const NO_ANSWER: EntryError = { code: 'Unavailable', message: 'The service did not answer.' };

function exchangeOf(entry: Entry): Exchange {
  const { turnId, question, delivery, reassembly, refusal, shown } = entry;
  const turn = reassembly?.view();
  const isSame = shown?.delivery === delivery && shown.turn === turn && shown.refusal === refusal;
  if (!isSame) entry.shown = { turnId, question, delivery, turn, refusal };
  return entry.shown ?? { turnId, question, delivery, turn, refusal };
}

function isOpen({ delivery, reassembly }: Entry): boolean {
  return delivery.phase === 'SENDING' || (delivery.phase === 'SENT' && reassembly?.isOpen() === true);
}
