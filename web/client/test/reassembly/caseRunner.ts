/** Runs shared cases of the rule. tests/client-rule/README.md describes their format. */
import {
  ConversationReassembly,
  TurnReassembly,
  type Change,
  type ConversationChange,
  type Fetch,
  type TurnQuery,
  type TurnView,
} from '../../src/reassembly/index.js';
import { completeEvents, completeTurn, completeUpdate, TURN_ID, type Json } from './caseInput.js';

export interface Case {
  readonly behavior: string;
  readonly of: 'turn' | 'conversation';
  readonly steps: readonly Json[];
}

const EXPECTATIONS = ['changes', 'requests', 'text', 'reasoning', 'wakeIn', 'isOpen'];

/** Throws an error that names the step which does not give what it expects. */
export function runCase({ of, steps }: Case): void {
  const runner = new Runner(of === 'turn' ? new TurnSubject() : new ConversationSubject());
  steps.flatMap(unrolled).forEach((step, index) => {
    try {
      runner.run(step);
    } catch (error) {
      throw new Error(`step ${index + 1}: ${String(error)}`, { cause: error });
    }
  });
}

/** The text that a view displays. */
export function textOfView({ events, streaming }: TurnView): string {
  const blocks = events.flatMap((event) => event.content);
  const streamed = streaming.filter(({ type }) => type === 'text');
  return [...blocks, ...streamed].map(({ text }) => text ?? '').join('');
}

/** The reasoning that a view displays and no stored event has. */
function streamedReasoningOf({ streaming }: TurnView): string {
  return streaming.map(({ type, text }) => (type === 'reasoning' ? text : '')).join('');
}

/** One of the two classes of the rule, its answers as the cases write them. */
interface Subject {
  act(action: string, argument: unknown, now: number): void;
  requests(): Json[];
  changes(): Json[];
  views(): readonly TurnView[];
  wakeAt(): number | undefined;
  isOpen(): boolean | null;
}

class TurnSubject implements Subject {
  readonly #turn = new TurnReassembly(TURN_ID, 0);

  act(action: string, argument: unknown, now: number): void {
    switch (action) {
      case 'advance':
        this.#turn.advance(now);
        break;
      case 'update':
        this.#turn.onUpdate(completeUpdate(argument), now);
        break;
      case 'turn':
        this.#turn.onTurn(completeTurn(argument), now);
        break;
      case 'turnFailed':
        this.#turn.onTurnFailed(now);
        break;
      case 'stale':
        this.#turn.markStale();
        break;
      default:
        throw new Error(`${action} is no action of this rule`);
    }
  }

  requests(): Json[] {
    return drain(() => this.#turn.pollQuery()).map((query) => ({ getTurn: queryJson(query) }));
  }

  changes(): Json[] {
    return drain(() => this.#turn.pollChange()).map(changeJson);
  }

  views(): readonly TurnView[] {
    return [this.#turn.view()];
  }

  wakeAt(): number | undefined {
    return this.#turn.wakeAt();
  }

  isOpen(): boolean {
    return this.#turn.isOpen();
  }
}

class ConversationSubject implements Subject {
  readonly #conversation = new ConversationReassembly();

  act(action: string, argument: unknown, now: number): void {
    switch (action) {
      case 'advance':
        this.#conversation.advance(now);
        break;
      case 'subscribed':
        this.#conversation.onSubscribed();
        break;
      case 'expectTurn':
        this.#conversation.expectTurn(String(argument), now);
        break;
      case 'update':
        this.#conversation.onUpdate(completeUpdate(argument), now);
        break;
      case 'turn':
        this.#conversation.onTurn(completeTurn(argument), now);
        break;
      case 'turnFailed':
        this.#conversation.onTurnFailed(String(argument), now);
        break;
      case 'events':
        this.#conversation.onEvents(completeEvents(argument), now);
        break;
      case 'eventsFailed':
        this.#conversation.onEventsFailed(now);
        break;
      default:
        throw new Error(`${action} is no action of this rule`);
    }
  }

  requests(): Json[] {
    return drain(() => this.#conversation.pollFetch()).map(fetchJson);
  }

  changes(): Json[] {
    return drain(() => this.#conversation.pollChange()).map(conversationChangeJson);
  }

  views(): readonly TurnView[] {
    return this.#conversation.views();
  }

  wakeAt(): number | undefined {
    return this.#conversation.wakeAt();
  }

  isOpen(): null {
    return null;
  }
}

/** What a change does to the text and the reasoning of a turn. */
interface DisplayedChange {
  readonly turnId?: string;
  readonly titled?: string;
  readonly appended?: string;
  readonly replaced?: string;
  readonly reasoningAppended?: string;
  readonly reasoningCleared?: boolean;
}

/** A subject and its clock. */
class Runner {
  readonly #subject: Subject;
  #now = 0;
  /** The texts that the changes give, by turn. */
  readonly #texts = new Map<string, string>();
  /** The reasoning that the changes give and no stored event has, by turn. */
  readonly #reasoning = new Map<string, string>();

  constructor(subject: Subject) {
    this.#subject = subject;
    for (const { turnId } of subject.views()) this.#display({ turnId });
  }

  /** Takes the step's action and compares what follows with what the step expects. */
  run(step: Json): void {
    const actions = Object.entries(step).filter(([name]) => !EXPECTATIONS.includes(name));
    const [action] = actions;
    if (!action || actions.length > 1) throw new Error(`one action a step: ${JSON.stringify(actions)}`);
    const [name, argument] = action;
    if (name === 'advance') this.#now += Number(argument);
    this.#subject.act(name, argument, this.#now);
    const requests = this.#subject.requests();
    const changes = this.#subject.changes();
    compare('requests', step['requests'] ?? [], requests);
    compare('changes', step['changes'] ?? [], changes);
    changes.forEach((change) => {
      this.#display(change);
    });
    if ('wakeIn' in step) compare('wakeIn', step['wakeIn'], this.#wakeIn());
    if ('isOpen' in step) compare('isOpen', step['isOpen'], this.#subject.isOpen());
    for (const [what, texts] of [
      ['text', this.#texts],
      ['reasoning', this.#reasoning],
    ] as const) {
      const text = step[what];
      const expected = typeof text === 'string' ? { [TURN_ID]: text } : (text ?? {});
      compare(what, expected, Object.fromEntries(texts));
    }
    this.#checkViews();
  }

  #display(change: DisplayedChange): void {
    if (change.titled !== undefined) return;
    const { turnId = TURN_ID, appended = '', replaced, reasoningAppended = '' } = change;
    const text = this.#texts.get(turnId) ?? '';
    this.#texts.set(turnId, replaced ?? text + appended);
    const reasoning = change.reasoningCleared ? '' : (this.#reasoning.get(turnId) ?? '');
    this.#reasoning.set(turnId, reasoning + reasoningAppended);
  }

  #wakeIn(): number | null {
    const wakeAt = this.#subject.wakeAt();
    return wakeAt === undefined ? null : wakeAt - this.#now;
  }

  #checkViews(): void {
    const views = this.#subject.views();
    this.#subject.views().forEach((view, index) => {
      if (view !== views[index]) throw new Error('a view that stays the same keeps its identity');
    });
    for (const view of views) {
      compare(`view of ${view.turnId}`, this.#texts.get(view.turnId) ?? '', textOfView(view));
      const reasoning = this.#reasoning.get(view.turnId) ?? '';
      compare(`reasoning in the view of ${view.turnId}`, reasoning, streamedReasoningOf(view));
    }
  }
}

function drain<T>(poll: () => T | undefined): T[] {
  const items: T[] = [];
  for (let item = poll(); item !== undefined; item = poll()) items.push(item);
  return items;
}

/** A step, or the steps of a repetition. */
function unrolled(step: Json): readonly Json[] {
  if (!('repeat' in step)) return [step];
  const { times, steps } = step['repeat'] as { times: number; steps: readonly Json[] };
  return Array.from({ length: times }, () => steps).flat();
}

function changeJson(change: Change): Json {
  switch (change.type) {
    case 'question':
      return { question: change.event };
    case 'appended':
      return { appended: change.text };
    case 'replaced':
      return { replaced: change.text };
    case 'reasoningAppended':
      return { reasoningAppended: change.text, contentBlockIndex: change.contentBlockIndex };
    case 'reasoningCleared':
      return { reasoningCleared: true };
    case 'reasoned':
      return { reasoned: change.reasoning };
    case 'toolCalled':
      return { toolCalled: change.toolUse };
    case 'toolProgress':
      return { toolProgress: change.toolCall };
    case 'waiting':
      return { waiting: change.toolCalls };
    case 'toolResult':
      return { toolResult: change.toolResult };
    case 'cited':
      return { cited: change.citations };
    case 'note':
      return { note: change.note };
    case 'ended':
      return { ended: change.end };
    case 'reopened':
      return { reopened: true };
  }
}

function conversationChangeJson(change: ConversationChange): Json {
  if ('title' in change) return { titled: change.title };
  return { turnId: change.turnId, ...changeJson(change.change) };
}

function queryJson({ attempt, afterSequence }: TurnQuery): Json {
  return { attempt: attempt ?? null, afterSequence };
}

function fetchJson(fetch: Fetch): Json {
  return fetch.type === 'events'
    ? { getEvents: { after: fetch.after ?? null } }
    : { getTurn: { id: fetch.turnId, ...queryJson(fetch.query) } };
}

function compare(what: string, expected: unknown, actual: unknown): void {
  if (contains(actual, expected)) return;
  throw new Error(`expected ${what} ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

/** Whether the value has all that is expected. It may have more members, and lists have all items. */
function contains(actual: unknown, expected: unknown): boolean {
  if (Array.isArray(expected)) {
    const hasItem = (item: unknown, index: number) => contains((actual as unknown[])[index], item);
    return Array.isArray(actual) && actual.length === expected.length && expected.every(hasItem);
  }
  if (typeof expected === 'object' && expected !== null) {
    const members = Object.entries(expected);
    return isObject(actual) && members.every(([name, member]) => contains(actual[name], member));
  }
  return (actual ?? null) === (expected ?? null);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
