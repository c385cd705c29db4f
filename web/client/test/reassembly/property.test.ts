/** Random histories over a faulty network: the view must end with exactly what is stored. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ConversationUpdate, Turn } from '../../src/generated/schema.js';
import { isEnd } from '../../src/reassembly/events.js';
import {
  ConversationReassembly,
  type ConversationEvents,
  type TurnView,
} from '../../src/reassembly/index.js';
import { isEqual } from '../../src/reassembly/isEqual.js';
import { textOfView } from './caseRunner.js';
import { EMPTY_METADATA, ServerModel, storedText, type StoredTurn } from './serverModel.js';

const RUNS = Number(process.env['RULE_RUNS'] ?? 500);
/** In ms: more than 10,000 runs take on a busy machine. */
const TIME_LIMIT = 600_000;
const TEXTS = ['Hello', ' ', '👩‍👩‍👧', '\r\n', 'שלום', 'é', '\u0001', '…and more'];
const MAX_TURNS = 4;
const MAX_RUNS = 4;

type Response = { events: ConversationEvents } | { turn: Turn };

class Simulation {
  readonly #draws: Draws;
  readonly #updates: ConversationUpdate[] = [];
  readonly #responses: Response[] = [];
  readonly #server = new ServerModel((update) => {
    this.#send(update);
  });
  readonly #client = new ConversationReassembly();
  readonly #lossPercent: number;
  /** The texts that the changes give. */
  readonly #texts = new Map<string, string>();
  #views: readonly TurnView[] = [];
  #now = 0;

  constructor(draws: Draws) {
    this.#draws = draws;
    this.#lossPercent = [0, 25, 60][this.#random(3)] ?? 0;
    this.#client.onSubscribed();
    this.#drain();
    this.#deliverAll();
  }

  run(): void {
    while (this.#draws.areLeft) this.#act();
    const newest = this.#server.newest;
    // A client may not know the last event of an answer that still goes on.
    if (newest && newest.status !== 'WAITING' && !isEnd(newest.status)) this.#server.abandon(newest);
    this.#settle();
    this.#check();
  }

  #act(): void {
    switch (this.#random(8)) {
      case 0:
      case 1:
      case 2:
        this.#changeServer();
        break;
      case 3:
      case 4:
        this.#deliverUpdate();
        break;
      case 5:
        this.#deliverResponse();
        break;
      case 6:
        if (this.#percent(20)) this.#reconnect();
        break;
      default:
        this.#advance(this.#random(4_000));
    }
  }

  #changeServer(): void {
    const turn = this.#server.newest;
    if (!turn) this.#server.send();
    else if (isEnd(turn.status)) this.#follow(turn);
    else if (turn.status === 'WAITING') this.#answer(turn);
    else if (turn.status === 'QUEUED' || this.#percent(8)) this.#server.claim(turn);
    else this.#stream(turn);
  }

  /** What follows an ended turn. */
  #follow(turn: StoredTurn): void {
    if (!this.#server.hasStoredEnd(turn) && this.#percent(60)) {
      this.#server.end(turn, turn.status, '', this.#percent(50));
    } else if (turn.run < MAX_RUNS && this.#percent(50)) {
      this.#server.reopen(turn, this.#percent(60));
    } else if (this.#server.turns.length < MAX_TURNS && this.#server.hasStoredEnd(turn)) {
      this.#server.send();
    }
  }

  #answer(turn: StoredTurn): void {
    const isFirstAnswered = turn.pending[0]?.status === 'RUNNING';
    if (turn.pending.length > 1 && !isFirstAnswered && this.#percent(60)) this.#server.answerFirstCall(turn);
    else if (this.#percent(70)) this.#server.reopen(turn, true);
    else this.#server.end(turn, 'CANCELLED', '', this.#percent(50));
  }

  #stream(turn: StoredTurn): void {
    const server = this.#server;
    if (turn.pending.length > 0) {
      if (this.#percent(30)) server.wait(turn);
      else server.publishResults(turn);
      return;
    }
    switch (this.#random(10)) {
      case 0:
        server.publishEvent(turn, this.#percent(50) ? this.#text() : '');
        break;
      case 1:
        server.publishCalls(turn, 1 + this.#random(2));
        break;
      case 2:
        server.end(turn, 'COMPLETED', this.#percent(50) ? this.#text() : '', this.#percent(80));
        break;
      case 3:
        this.#die(turn);
        break;
      default:
        server.publishBatch(turn, {
          agentPartialMessage: this.#text(),
          contentBlockIndex: this.#random(2),
          note: this.#percent(10) ? 'The model is busy.' : null,
        });
    }
  }

  /** The handler dies, perhaps after a batch that it has stored and not published. */
  #die(turn: StoredTurn): void {
    if (this.#percent(50)) {
      this.#server.storeBatch(turn, { ...EMPTY_METADATA, agentPartialMessage: this.#text() });
      // The closing has the number of that batch.
      turn.sequence -= 1;
    }
    if (this.#percent(50)) this.#server.abandon(turn);
    else this.#server.end(turn, 'FAILED', '', this.#percent(50));
  }

  #send(update: ConversationUpdate): void {
    if (this.#percent(this.#lossPercent)) return;
    this.#updates.push(update);
    if (this.#percent(15)) this.#updates.push(structuredClone(update));
  }

  #deliverUpdate(): void {
    const index = this.#percent(70) ? 0 : this.#random(Math.max(this.#updates.length, 1));
    const [update] = this.#updates.splice(index, 1);
    if (!update) return;
    this.#client.onUpdate(update, this.#now);
    this.#drain();
  }

  #deliverResponse(): void {
    const [response] = this.#responses.splice(this.#random(Math.max(this.#responses.length, 1)), 1);
    if (!response) return;
    if (this.#percent(20)) {
      if ('events' in response) this.#client.onEventsFailed(this.#now);
      else this.#client.onTurnFailed(response.turn.id, this.#now);
    } else if ('events' in response) {
      this.#client.onEvents(response.events, this.#now);
    } else {
      this.#client.onTurn(response.turn, this.#now);
    }
    this.#drain();
  }

  #reconnect(): void {
    this.#updates.length = 0;
    this.#client.onSubscribed();
    this.#drain();
  }

  #advance(time: number): void {
    this.#now += time;
    this.#client.advance(this.#now);
    this.#drain();
  }

  /** Sends the client's requests, which are answered at once but arrive later, and displays its changes. */
  #drain(): void {
    for (let fetch = this.#client.pollFetch(); fetch; fetch = this.#client.pollFetch()) {
      this.#responses.push(
        fetch.type === 'events'
          ? { events: this.#server.getEvents(fetch.after) }
          : { turn: this.#server.getTurn(fetch.turnId, fetch.query) },
      );
    }
    for (let next = this.#client.pollChange(); next; next = this.#client.pollChange()) {
      if ('title' in next) continue;
      const { turnId, change } = next;
      const text = this.#texts.get(turnId) ?? '';
      if (change.type === 'appended') this.#texts.set(turnId, text + change.text);
      if (change.type === 'replaced') this.#texts.set(turnId, change.text);
    }
    this.#compareViews();
  }

  /** Views have the text of the changes, and are other objects only where they differ. */
  #compareViews(): void {
    const views = this.#client.views();
    for (const view of views) {
      const text = this.#texts.get(view.turnId) ?? '';
      if (textOfView(view) !== text) {
        throw new Error(`${view.turnId} is displayed as ${textOfView(view)}, not ${text}`);
      }
      const before = this.#views.find(({ turnId }) => turnId === view.turnId);
      if (before !== view && isEqual(before, view)) {
        throw new Error(`${view.turnId} is another object and the same`);
      }
    }
    this.#views = views;
  }

  #deliverAll(): void {
    for (let response = this.#responses.pop(); response; response = this.#responses.pop()) {
      if ('events' in response) this.#client.onEvents(response.events, this.#now);
      else this.#client.onTurn(response.turn, this.#now);
      this.#drain();
    }
  }

  /** Loses nothing more, and lets time pass until the client has looked for missed turns twice. */
  #settle(): void {
    while (this.#updates.length > 0) this.#deliverUpdate();
    const end = this.#now + 900_000;
    for (let wakes = 0; this.#now < end; wakes += 1) {
      if (wakes > 1_000) throw new Error('the client never becomes idle');
      this.#deliverAll();
      const wakeAt = this.#client.wakeAt() ?? end;
      this.#advance(Math.max(wakeAt - this.#now, 0));
    }
    this.#deliverAll();
  }

  #check(): void {
    for (const turn of this.#server.turns) {
      const view = this.#views.find(({ turnId }) => turnId === turn.id);
      expect(view && textOfView(view)).toBe(storedText(turn));
      expect(view).toMatchObject({ attempt: turn.attempt, status: turn.status });
      expect(view?.pending).toEqual(turn.status === 'WAITING' ? turn.pending : undefined);
      if (this.#server.hasStoredEnd(turn) || turn.status === 'WAITING') {
        expect(view?.events).toEqual(turn.answer);
      }
    }
  }

  /** A number from 0 that is less than the limit. */
  #random(limit: number): number {
    return this.#draws.below(limit);
  }

  #percent(percent: number): boolean {
    return this.#random(100) < percent;
  }

  #text(): string {
    return TEXTS[this.#random(TEXTS.length)] ?? '';
  }
}

/** Gives these numbers, and then 0. */
class Draws {
  readonly #draws: readonly number[];
  #next = 0;

  constructor(draws: readonly number[]) {
    this.#draws = draws;
  }

  get areLeft(): boolean {
    return this.#next < this.#draws.length;
  }

  /** A number from 0 that is less than the limit. */
  below(limit: number): number {
    this.#next += 1;
    return (this.#draws[this.#next - 1] ?? 0) % limit;
  }
}

it(
  'ends with what is stored, whatever is lost, doubled or late',
  () => {
    // A shorter counterexample takes longer to find than seed and path take to debug.
    const draws = fc.noShrink(fc.array(fc.nat({ max: 999 }), { minLength: 10, maxLength: 600, size: 'max' }));
    const run = fc.property(draws, (numbers) => {
      new Simulation(new Draws(numbers)).run();
    });
    fc.assert(run, { numRuns: RUNS });
  },
  TIME_LIMIT,
);
