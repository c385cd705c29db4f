/** Runs the tools of this page that the agent calls. */
import type { Client } from '../client.js';
import { ParlanceError } from '../errors.js';
import type { ToolCall, ToolUse, Turn } from '../generated/schema.js';
import { repeat } from './repeat.js';
import type { ToolCallAnswer } from './snapshot.js';
import { pendingOf } from './state.js';
import type { TurnRecord } from './turns.js';

/**
 * What a page does when the agent calls its client tools, by their names. A function returns the result, a
 * JSON value of at most 48 KB, or throws an error whose message the model gets. Calls of other names wait for
 * another page or for a person.
 */
export type ClientToolFunctions = Readonly<Record<string, (input: unknown, call: ClientToolCall) => unknown>>;

/** The client tools of a page, made by `clientTools`. */
export type ClientTools = (
  client: Client,
  answer: (turnId: string, answer: ToolCallAnswer) => Promise<void>,
) => ClientToolRunner;

/**
 * The option `tools` of `createConversation`; a page without client tools does not ship their code. A call is
 * run where the user who asked is this client's user. Tabs of a browser agree on one of them by Web Locks,
 * where these are there; other devices of the user may run the same call, and the first result is taken.
 */
export function clientTools(functions: ClientToolFunctions): ClientTools {
  return (client, answer) => new ClientToolRunner(client, functions, answer);
}

export interface ClientToolCall {
  readonly conversationId: string;
  readonly turnId: string;
  readonly toolUseId: string;
  readonly name: string;
  /** Aborted when the turn does not wait for the call any more. */
  readonly signal: AbortSignal;
}

/** More than any sequence: the turn is read without its batches. */
const NO_BATCHES = 999_999;

export class ClientToolRunner {
  readonly #client: Client;
  readonly #tools: ClientToolFunctions;
  readonly #answer: (turnId: string, answer: ToolCallAnswer) => Promise<void>;
  readonly #running = new Map<string, AbortController>();
  #callerId: Promise<string> | undefined;

  constructor(
    client: Client,
    tools: ClientToolFunctions,
    answer: (turnId: string, answer: ToolCallAnswer) => Promise<void>,
  ) {
    this.#client = client;
    this.#tools = tools;
    this.#answer = answer;
  }

  /** Starts the calls for which the newest turn waits, and stops those for which it does not. */
  update(conversationId: string, newest: TurnRecord | undefined): void {
    const calls = new Map(pendingOf(newest).map((call) => [keyOf(newest, call), call]));
    for (const [key, controller] of this.#running) {
      if (calls.get(key)?.status === 'CLIENT_NEEDED') continue;
      controller.abort();
      this.#running.delete(key);
    }
    for (const [key, call] of calls) {
      const isRunnable = call.status === 'CLIENT_NEEDED' && Object.hasOwn(this.#tools, call.name);
      if (!newest || !isRunnable || this.#running.has(key)) continue;
      const controller = new AbortController();
      this.#running.set(key, controller);
      const { signal } = controller;
      const clientCall = { conversationId, turnId: newest.id, toolUseId: call.id, name: call.name, signal };
      void withLock(`parlance/${conversationId}/${key}`, signal, () => this.#run(clientCall));
    }
  }

  stop(): void {
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }

  /** A failure leaves the call to another page or to a person, who sees that it waits. */
  async #run(call: ClientToolCall): Promise<void> {
    try {
      // Another tab may have answered while this one waited for the lock.
      const turn = await repeat(() => this.#readTurn(call), call.signal);
      const toolUse = waitingCall(turn, call.toolUseId);
      if (!toolUse || !(await this.#isOfCaller(turn))) return;
      const answer = await this.#resultOf(call, toolUse);
      if (!call.signal.aborted) await this.#sendAnswer(call, answer);
    } catch (error) {
      if (!(error instanceof ParlanceError)) throw error;
    }
  }

  #readTurn({ conversationId, turnId, signal }: ClientToolCall): Promise<Turn> {
    return this.#client.getTurn({ conversationId, id: turnId, afterSequence: NO_BATCHES }, { signal });
  }

  async #isOfCaller({ question }: Turn): Promise<boolean> {
    this.#callerId ??= this.#client.getCaller().then(({ id }) => id);
    this.#callerId.catch(() => (this.#callerId = undefined));
    return (question?.sender.id ?? API_KEY_USER) === (await this.#callerId);
  }

  async #resultOf(call: ClientToolCall, toolUse: ToolUse): Promise<ToolCallAnswer> {
    const { toolUseId } = call;
    try {
      const result: unknown = await this.#tools[call.name]?.(JSON.parse(toolUse.input), call);
      return { toolUseId, result: result ?? {} };
    } catch (error) {
      return failure(toolUseId, error);
    }
  }

  /** A result that the API does not accept, because it is too long or no JSON, is a failure of the tool. */
  async #sendAnswer(call: ClientToolCall, answer: ToolCallAnswer): Promise<void> {
    try {
      await this.#answer(call.turnId, answer);
    } catch (error) {
      const isInvalid =
        error instanceof TypeError || (error instanceof ParlanceError && error.code === 'InvalidInput');
      if (!isInvalid) throw error;
      await this.#answer(call.turnId, failure(call.toolUseId, error));
    }
  }
}

/** The id of the user of all callers with the API key, whose events name no user. */
const API_KEY_USER = 'API_KEY';

/** The ids of calls are unique in their step, and each step that waits is of another attempt. */
function keyOf(turn: TurnRecord | undefined, call: ToolCall): string {
  return `${turn?.id ?? ''}/${turn?.view?.attempt ?? 0}/${call.id}`;
}

function waitingCall(turn: Turn, toolUseId: string): ToolUse | undefined {
  const isWaiting = turn.pending?.some(({ id, status }) => id === toolUseId && status === 'CLIENT_NEEDED');
  const calls = (turn.answer ?? []).flatMap(({ content }) => content.flatMap(({ toolUse }) => toolUse ?? []));
  return isWaiting ? calls.filter(({ id }) => id === toolUseId).at(-1) : undefined;
}

function failure(toolUseId: string, error: unknown): ToolCallAnswer {
  const message = error instanceof Error ? error.message : String(error);
  return { toolUseId, result: { error: message }, isError: true };
}

async function withLock(name: string, signal: AbortSignal, run: () => Promise<void>): Promise<void> {
  // Absent outside of browsers, and on pages that are not served over HTTPS.
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  if (!locks) {
    await run();
    return;
  }
  try {
    await locks.request(name, { signal }, run);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
