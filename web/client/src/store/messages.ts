/** From what is known of a turn to the messages that are shown. */
import type {
  Citation,
  ContentBlock,
  ConversationEvent,
  ToolCall,
  ToolResult,
  ToolStatus,
  ToolUse,
  TurnStatus,
} from '../generated/schema.js';
import { endsAnswer, isEnd } from '../reassembly/events.js';
import type {
  AssistantMessage,
  Message,
  Part,
  PlacedCitation,
  ToolOutput,
  ToolPart,
  UserMessage,
} from './snapshot.js';
import { present } from './present.js';
import { answerOf, currentView, questionOf, statusOf, type TurnRecord } from './turns.js';

/** The message of the user, where it is loaded, and the answer, once there is one or it is being made. */
export function messagesOf(turn: TurnRecord): Message[] {
  return [userMessage(turn), assistantMessage(turn)].filter((message) => message !== undefined);
}

function userMessage(turn: TurnRecord): UserMessage | undefined {
  const { id, local } = turn;
  const question = questionOf(turn);
  const start = { role: 'user', key: `${id}/user`, id } as const;
  if (question) {
    const { text, sender, createdAt } = question;
    return { ...start, text: text ?? '', sender, createdAt, delivery: 'SENT' };
  }
  return local && { ...start, ...local };
}

function assistantMessage(turn: TurnRecord): AssistantMessage | undefined {
  const events = answerOf(turn);
  const status = statusOf(turn) ?? (events.length > 0 ? 'COMPLETED' : undefined);
  if (!status) return undefined;
  const last = events.at(-1);
  const end = currentView(turn)?.end;
  const isOver = isEnd(status);
  const failure = isOver ? (end?.failure ?? last?.failure) : undefined;
  const stopReason = isOver ? (end?.stopReason ?? last?.stopReason) : undefined;
  const usage = end?.usage ?? (last && endsAnswer(last) ? last.usage : undefined);
  const agentEvents = events.filter(({ sender }) => sender.kind === 'AGENT');
  const sender = agentEvents[0]?.sender;
  const { modelId, guardrail } = agentEvents.at(-1) ?? {};
  return {
    role: 'assistant',
    key: `${turn.id}/assistant`,
    turnId: turn.id,
    parts: partsOf(turn, status),
    status: isOver || status === 'WAITING' ? status : 'STREAMING',
    ...present({
      sender,
      modelId,
      guardrail,
      stopReason,
      usage,
      failure,
      createdAt: events[0]?.createdAt,
    }),
  };
}

function partsOf(turn: TurnRecord, status: TurnStatus): Part[] {
  const view = currentView(turn);
  const parts = new PartList(turn.id);
  for (const event of answerOf(turn)) parts.addEvent(event);
  view?.streaming.forEach(({ type, text, citations }, place) => {
    if (type === 'text') parts.addText(text, citations);
    else parts.addReasoning(place, text);
  });
  return parts.finish(status, [...(view?.toolCalls ?? []), ...(view?.pending ?? [])]);
}

/** Joins calls with their results, and what follows its like: events and blocks part texts anywhere. */
class PartList {
  readonly #turnId: string;
  readonly #parts: Part[] = [];
  #step = 0;

  constructor(turnId: string) {
    this.#turnId = turnId;
  }

  addEvent(event: ConversationEvent): void {
    let index = 0;
    event.content.forEach((block, place) => {
      const citations = (block.citations ?? []).map((citation) => ({
        ...citation,
        stored: { eventId: event.id, index: index++ },
      }));
      this.#addBlock(place, block, citations);
    });
    if (event.sender.kind === 'TOOL') this.#step += 1;
  }

  addText(text: string, citations: readonly PlacedCitation[]): void {
    if (!text) return;
    const before = this.#takeLast('text') ?? { ...this.#newPart(), type: 'text', citations: [] };
    const placed = citations.map((citation) => moved(citation, before.text.length));
    this.#parts.push({ ...before, text: before.text + text, citations: [...before.citations, ...placed] });
  }

  /** Each block is a paragraph, but the first one of an event may go on with the last one before. */
  addReasoning(place: number, text: string, milliseconds?: number | null): void {
    const before = this.#takeLast('reasoning') ?? {
      ...this.#newPart(),
      key: `${this.#nextKey()}/reasoning`,
      type: 'reasoning',
    };
    const time = (before.milliseconds ?? 0) + (milliseconds ?? 0);
    this.#parts.push({
      ...before,
      text: before.text + (before.text && text && place ? '\n\n' : '') + text,
      ...present({ milliseconds: time }),
    });
  }

  /** `calls` are the states of calls that have no result yet. */
  finish(status: TurnStatus, calls: readonly ToolCall[]): Part[] {
    const states = new Map(calls.map((call) => [call.id, call]));
    const parts = this.#parts.map((part) =>
      part.type === 'tool' ? withState(part, status, states.get(part.toolUseId)) : part,
    );
    const last = parts.at(-1);
    if (last && last.type !== 'tool' && (status === 'RUNNING' || status === 'CANCELLING')) {
      parts[parts.length - 1] = { ...last, isStreaming: true };
    }
    return parts;
  }

  #takeLast<Type extends Part['type']>(type: Type): (Part & { type: Type }) | undefined {
    return this.#parts.at(-1)?.type === type ? (this.#parts.pop() as Part & { type: Type }) : undefined;
  }

  #newPart() {
    return { key: this.#nextKey(), step: this.#step, text: '', isStreaming: false };
  }

  #addBlock(
    place: number,
    { text, reasoning, toolUse, toolResult }: ContentBlock,
    citations: readonly PlacedCitation[],
  ): void {
    if (reasoning) this.addReasoning(place, reasoning.text, reasoning.milliseconds);
    if (text) this.addText(text, citations);
    if (toolUse) this.#parts.push(toolPart(this.#nextKey(), this.#step, toolUse));
    if (toolResult) this.#addResult(toolResult);
  }

  /** An id may come again in a later step: the result is that of the last call with it. */
  #addResult(result: ToolResult): void {
    const index = this.#parts
      .map((part) => part.type === 'tool' && part.toolUseId)
      .lastIndexOf(result.toolUseId);
    const part = this.#parts[index];
    if (part?.type !== 'tool') return;
    this.#parts[index] = { ...part, status: result.status, result: outputOf(result) };
  }

  /** Reasoning that is known only at the end, because the model does not show it, changes no other key. */
  #nextKey(): string {
    return `${this.#turnId}/${this.#parts.filter(({ type }) => type !== 'reasoning').length}`;
  }
}

function toolPart(key: string, step: number, toolUse: ToolUse): ToolPart {
  const { id, name, title } = toolUse;
  const input = inputOf(toolUse);
  return {
    type: 'tool',
    key,
    step,
    toolUseId: id,
    name,
    ...present({ title }),
    ...(input !== null && { input }),
    inputText: toolUse.input,
    status: 'RUNNING',
  };
}

/** A call without a result: it is being run, waits, or nobody knows how it has ended. */
function withState(part: ToolPart, turnStatus: TurnStatus, call: ToolCall | undefined): ToolPart {
  if (part.result) return part;
  const status = call?.status ?? 'RUNNING';
  const isOver = isEnd(turnStatus) && OPEN_STATUSES.includes(status);
  return {
    ...part,
    status: isOver ? 'UNKNOWN' : status,
    ...present({ note: call?.note }),
    ...(!isOver && status === 'APPROVAL_NEEDED' && { needs: 'APPROVAL' }),
    ...(!isOver && status === 'CLIENT_NEEDED' && { needs: 'CLIENT' }),
  };
}

const OPEN_STATUSES: readonly ToolStatus[] = ['RUNNING', 'APPROVAL_NEEDED', 'CLIENT_NEEDED'];

/** Parsed once: the parts of an answer are made again with each batch. */
const inputOf = once((toolUse: ToolUse) => parseJson(toolUse.input));

const outputOf = once(({ json, text, truncated, startedAt, endedAt }: ToolResult): ToolOutput => ({
  ...(typeof json === 'string' && { json: parseJson(json) }),
  ...(typeof text === 'string' && { text }),
  isTruncated: truncated === true,
  ...present({ startedAt, endedAt }),
}));

function once<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new WeakMap<Key, Value>();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key) as Value;
  };
}

/** Undefined where it is no JSON, which the API never sends. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function moved<Placed extends Citation>(citation: Placed, by: number): Placed {
  return { ...citation, start: citation.start + by, end: citation.end + by };
}
