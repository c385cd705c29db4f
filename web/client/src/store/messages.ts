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
  TextPart,
  ToolOutput,
  ToolPart,
  UserMessage,
} from './snapshot.js';
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
  const failure = isEnd(status) ? (end?.failure ?? last?.failure) : undefined;
  const stopReason = isEnd(status) ? (end?.stopReason ?? last?.stopReason) : undefined;
  const usage = end?.usage ?? (last && endsAnswer(last) ? last.usage : undefined);
  const agent = events.find(({ sender }) => sender.kind === 'AGENT')?.sender;
  return {
    role: 'assistant',
    key: `${turn.id}/assistant`,
    turnId: turn.id,
    parts: partsOf(turn, status),
    status: messageStatus(status),
    ...(agent && { sender: agent }),
    ...(stopReason && { stopReason }),
    ...(usage && { usage }),
    ...(failure && { failure }),
    ...(events[0] && { createdAt: events[0].createdAt }),
  };
}

function messageStatus(status: TurnStatus): AssistantMessage['status'] {
  switch (status) {
    case 'QUEUED':
    case 'RUNNING':
    case 'CANCELLING':
      return 'STREAMING';
    case 'WAITING':
    case 'COMPLETED':
    case 'CANCELLED':
    case 'FAILED':
      return status;
  }
}

function partsOf(turn: TurnRecord, status: TurnStatus): Part[] {
  const view = currentView(turn);
  const parts = new PartList(turn.id);
  for (const event of answerOf(turn)) parts.addEvent(event);
  for (const { text, citations } of view?.streaming ?? []) parts.addText(text, citations);
  return parts.finish(status, [...(view?.toolCalls ?? []), ...(view?.pending ?? [])]);
}

/** Joins calls with their results, and texts that follow each other: events and blocks part them anywhere. */
class PartList {
  readonly #turnId: string;
  readonly #parts: Part[] = [];
  #step = 0;

  constructor(turnId: string) {
    this.#turnId = turnId;
  }

  addEvent(event: ConversationEvent): void {
    let index = 0;
    for (const block of event.content) {
      const citations = (block.citations ?? []).map((citation) => ({
        ...citation,
        stored: { eventId: event.id, index: index++ },
      }));
      this.#addBlock(block, citations);
    }
    if (event.sender.kind === 'TOOL') this.#step += 1;
  }

  addText(text: string, citations: readonly PlacedCitation[]): void {
    if (!text) return;
    const last = this.#parts.at(-1);
    const before: TextPart =
      last?.type === 'text'
        ? last
        : {
            type: 'text',
            key: this.#nextKey(),
            step: this.#step,
            text: '',
            citations: [],
            isStreaming: false,
          };
    if (before === last) this.#parts.pop();
    const placed = citations.map((citation) => moved(citation, before.text.length));
    this.#parts.push({ ...before, text: before.text + text, citations: [...before.citations, ...placed] });
  }

  /** `calls` are the states of calls that have no result yet. */
  finish(status: TurnStatus, calls: readonly ToolCall[]): Part[] {
    const states = new Map(calls.map((call) => [call.id, call]));
    const parts = this.#parts.map((part) =>
      part.type === 'tool' ? withState(part, status, states.get(part.toolUseId)) : part,
    );
    const last = parts.at(-1);
    if (last?.type === 'text' && (status === 'RUNNING' || status === 'CANCELLING')) {
      parts[parts.length - 1] = { ...last, isStreaming: true };
    }
    return parts;
  }

  #addBlock({ text, toolUse, toolResult }: ContentBlock, citations: readonly PlacedCitation[]): void {
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

  #nextKey(): string {
    return `${this.#turnId}/${this.#parts.length}`;
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
    ...(title && { title }),
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
    ...(call?.note && { note: call.note }),
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
  ...(startedAt && { startedAt }),
  ...(endedAt && { endedAt }),
}));

function once<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new WeakMap<Key, { value: Value }>();
  return (key) => {
    const known = made.get(key) ?? { value: make(key) };
    made.set(key, known);
    return known.value;
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
