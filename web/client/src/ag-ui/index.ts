/** Parlance as an agent of AG-UI. */
import {
  AbstractAgent,
  contentToText,
  EventType,
  type AgentConfig,
  type AGUIEvent,
  type BaseEvent,
  type Message,
  type RunAgentInput,
} from '@ag-ui/client';
import { Observable, type Subscriber } from 'rxjs';
import {
  Conversations,
  followAnswer,
  newestAnswer,
  sendAnswers,
  type AdapterOptions,
} from '../adapters/conversations.js';
import {
  ParlanceError,
  type AssistantMessage,
  type Client,
  type ConversationStore,
  type ToolCallAnswer,
} from '../index.js';
import { EventWriter, outcomeOf, toAgMessages } from './events.js';

export type { AdapterOptions } from '../adapters/conversations.js';
export { toAgMessages };

/**
 * An agent whose `threadId` is the id of a conversation: 1 to 64 of A-Z, a-z, 0-9, _ and -. A conversation
 * that does not exist is created by its first message.
 *
 * `runAgent` sends the last message, which must be the user's; or it sends the results of the page's tools,
 * which are the last messages, and the answers to interrupts (`resume`). With a user's message that is
 * answered already it retries the newest turn. `connectAgent` reads the conversation and takes up the answer
 * that is being made. `abortRun` cancels the turn.
 */
export class ParlanceAgent extends AbstractAgent {
  private conversations: Conversations;
  private running: ConversationStore | undefined;

  constructor(client: Client, config: AgentConfig & AdapterOptions = {}) {
    super(config);
    const { tools } = config;
    const agentId = config.agentId;
    this.conversations = new Conversations(client, {
      ...(agentId !== undefined && { agentId }),
      ...(tools && { tools }),
    });
  }

  run(input: RunAgentInput): Observable<BaseEvent> {
    return this.events(input, async (store, subscriber) => {
      const before = await send(store, input);
      const turnId = newestAnswer(store)?.turnId;
      const earlier = input.messages.filter(({ id }) => turnId === undefined || !id.startsWith(`${turnId}/`));
      return this.follow(store, new EventWriter(earlier, before), subscriber);
    });
  }

  override abortRun(): void {
    // A cancellation that fails leaves the run to go on, as its events tell.
    this.running?.cancel().catch(() => undefined);
  }

  /** Ends the subscriptions. */
  close(): void {
    this.conversations.close();
  }

  // AbstractAgent declares any.
  override clone(): ParlanceAgent {
    const copy = super.clone() as ParlanceAgent;
    copy.conversations = this.conversations;
    copy.running = undefined;
    return copy;
  }

  protected override connect(input: RunAgentInput): Observable<BaseEvent> {
    return this.events(input, (store, subscriber) => {
      const { messages } = store.getSnapshot();
      const isOpen = ['STREAMING', 'WAITING'].includes(newestAnswer(store)?.status ?? '');
      const earlier = toAgMessages(isOpen ? messages.slice(0, -1) : messages);
      emit(subscriber, { type: EventType.MESSAGES_SNAPSHOT, messages: earlier });
      return isOpen ? this.follow(store, new EventWriter(earlier), subscriber) : Promise.resolve(undefined);
    });
  }

  /** The events of a run. `body` tells the answer that the run ends with. */
  private events(
    { threadId, runId }: RunAgentInput,
    body: (
      store: ConversationStore,
      subscriber: Subscriber<BaseEvent>,
    ) => Promise<AssistantMessage | undefined>,
  ): Observable<BaseEvent> {
    return new Observable<BaseEvent>((subscriber) => {
      const run = async () => {
        emit(subscriber, { type: EventType.RUN_STARTED, threadId, runId });
        try {
          const store = await this.conversations.open(threadId);
          const answer = await body(store, subscriber);
          emit(subscriber, endOf(answer, threadId, runId));
        } catch (error) {
          if (!(error instanceof ParlanceError)) throw error;
          emit(subscriber, { type: EventType.RUN_ERROR, message: error.message, code: error.code });
        }
        subscriber.complete();
      };
      run().catch((error: unknown) => {
        subscriber.error(error);
      });
    });
  }

  private follow(
    store: ConversationStore,
    writer: EventWriter,
    subscriber: Subscriber<BaseEvent>,
  ): Promise<AssistantMessage> {
    const turnId = newestAnswer(store)?.turnId;
    if (turnId === undefined) throw new ParlanceError('NotFound', 'The conversation has no answer.');
    this.running = store;
    return new Promise((resolve, reject) => {
      const end = followAnswer(store, turnId, {
        onChange: (answer) => {
          emit(subscriber, ...writer.update(answer));
        },
        onEnd: (answer) => {
          emit(subscriber, ...writer.end());
          resolve(answer);
        },
        onFailed: reject,
      });
      subscriber.add(end);
    });
  }
}

function emit(subscriber: Subscriber<BaseEvent>, ...events: readonly AGUIEvent[]): void {
  for (const event of events) subscriber.next(event);
}

function endOf(answer: AssistantMessage | undefined, threadId: string, runId: string): AGUIEvent {
  if (answer?.status === 'FAILED') {
    const { code = 'INTERNAL', message = 'The answer failed.' } = answer.failure ?? {};
    return { type: EventType.RUN_ERROR, message, code };
  }
  const outcome = answer ? outcomeOf(answer) : ({ type: 'success' } as const);
  return { type: EventType.RUN_FINISHED, threadId, runId, outcome };
}

/** Sends what the input has for the API. Returns what the input's messages have of the answer. */
async function send(store: ConversationStore, input: RunAgentInput): Promise<AssistantMessage | undefined> {
  const newest = newestAnswer(store);
  const last = input.messages.at(-1);
  if (newest?.status === 'WAITING' && last?.role !== 'user') {
    await sendAnswers(store, answersOf(input, newest));
    return newest;
  }
  if (last?.role !== 'user') throw new ParlanceError('InvalidInput', "The last message must be the user's.");
  if (newest?.turnId === last.id) await store.retry();
  else await store.send(contentToText(last.content), ID.test(last.id) ? { id: last.id } : {});
  return undefined;
}

/** The ids that the API takes. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;

function answersOf({ messages, resume = [] }: RunAgentInput, waiting: AssistantMessage): ToolCallAnswer[] {
  const calls = waiting.parts.filter((part) => part.type === 'tool');
  return calls.flatMap(({ toolUseId, needs }): ToolCallAnswer[] => {
    if (needs === 'CLIENT') return messages.flatMap((message) => resultOf(message, toolUseId));
    const entry = resume.find(({ interruptId }) => interruptId === toolUseId);
    if (needs !== 'APPROVAL' || !entry) return [];
    const { approved, reason } = (entry.payload ?? {}) as { approved?: unknown; reason?: unknown };
    if (entry.status === 'resolved' && approved === true) return [{ toolUseId, approved: true }];
    return [{ toolUseId, approved: false, ...(typeof reason === 'string' && { reason }) }];
  });
}

function resultOf(message: Message, toolUseId: string): ToolCallAnswer[] {
  if (message.role !== 'tool' || message.toolCallId !== toolUseId) return [];
  const result = jsonOf(contentToText(message.content));
  return [{ toolUseId, result, ...(message.error !== undefined && { isError: true }) }];
}

/** Results are JSON by convention, but may be any text. */
function jsonOf(text: string): unknown {
  try {
    return (JSON.parse(text) as unknown) ?? {};
  } catch {
    return text;
  }
}
