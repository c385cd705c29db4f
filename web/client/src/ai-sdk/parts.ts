/** From an answer of Parlance to the parts and the stream of an answer of the AI SDK. */
import type { FinishReason, UIMessage, UIMessageChunk } from 'ai';
import { shownPartsOf } from '../adapters/conversations.js';
import type { AssistantMessage, Message, PlacedCitation, ToolPart, Usage } from '../index.js';

/** The metadata of answers. */
export interface ParlanceMetadata {
  readonly turnId: string;
  readonly usage?: Usage;
}

export type ParlanceUIMessage = UIMessage<ParlanceMetadata>;

type Chunk = UIMessageChunk<ParlanceMetadata>;

/** What a stream has sent of one part. */
type Sent =
  | { readonly type: 'step'; readonly id: string }
  | SentText
  | { readonly type: 'source'; readonly id: string; readonly chunk: Chunk }
  | { readonly type: 'tool'; readonly id: string; readonly chunks: readonly Chunk[] };

interface SentText {
  readonly type: 'text' | 'reasoning';
  readonly id: string;
  readonly text: string;
  readonly isDone: boolean;
}

/** A stream cannot take it back. The backend never changes what it has stored before tool calls. */
const STEP_CHANGED = 'The answer has changed. Load the conversation again.';

/** The id of an answer's message. A question has the id of its turn. */
export function answerId(turnId: string): string {
  return `${turnId}-answer`;
}

/**
 * Turns the successive states of an answer into chunks. Where another attempt replaces what one has brought,
 * `reset-step` takes back the step, and its new parts follow: steps before have stored results, which stay.
 */
export class ChunkWriter {
  #sent: readonly Sent[];

  /** `before` is what the message has already: the answer when its last stream ended. */
  constructor(before?: AssistantMessage) {
    this.#sent = before ? sentOf(before) : [];
  }

  start(turnId: string): Chunk[] {
    return [{ type: 'start', messageId: answerId(turnId), messageMetadata: { turnId } }];
  }

  update(answer: AssistantMessage): Chunk[] {
    const next = sentOf(answer);
    const stepStart = this.#sent.map(({ type }) => type).lastIndexOf('step');
    const changed = this.#sent.findIndex((sent, index) => !isContinued(sent, next[index]));
    if (changed !== -1 && changed <= stepStart) return [{ type: 'error', errorText: STEP_CHANGED }];
    const before = changed === -1 ? this.#sent : this.#sent.slice(0, stepStart + 1);
    this.#sent = next;
    const reset: Chunk[] = changed === -1 ? [] : [{ type: 'reset-step' }];
    return [...reset, ...next.flatMap((sent, index) => changes(before[index], sent, index > 0))];
  }

  end(answer: AssistantMessage): Chunk[] {
    const { turnId, usage, status, failure } = answer;
    if (status === 'CANCELLED') return [{ type: 'abort' }];
    if (status === 'FAILED') return [{ type: 'error', errorText: failure?.message ?? 'The answer failed.' }];
    const messageMetadata = { turnId, ...(usage && { usage }) };
    return [{ type: 'finish-step' }, { type: 'finish', finishReason: finishReason(answer), messageMetadata }];
  }
}

/** A message as the AI SDK keeps it. */
export function toUIMessage(message: Message): ParlanceUIMessage {
  if (message.role === 'user') {
    return { id: message.id, role: 'user', parts: [{ type: 'text', text: message.text }] };
  }
  const { turnId, usage } = message;
  return {
    id: answerId(turnId),
    role: 'assistant',
    metadata: { turnId, ...(usage && { usage }) },
    parts: sentOf(message).flatMap(toUIPart),
  };
}

function sentOf({ parts: allParts, status }: AssistantMessage): Sent[] {
  const numbers = new Set<number>();
  const parts = shownPartsOf(allParts);
  return parts.flatMap((part, index): Sent[] => {
    const isFirst = part.step !== parts[index - 1]?.step;
    const step: Sent[] = isFirst ? [{ type: 'step', id: `step ${part.step}` }] : [];
    if (part.type === 'tool') return [...step, { type: 'tool', id: part.key, chunks: toolChunks(part) }];
    const isDone = index < parts.length - 1 || status !== 'STREAMING';
    if (part.type === 'reasoning') {
      return [...step, { type: 'reasoning', id: part.key, text: part.text, isDone }];
    }
    const cited = part.citations.filter(({ number }) => !numbers.has(number) && numbers.add(number));
    const sources = isDone ? cited.map((citation) => sourceOf(part.key, citation)) : [];
    return [...step, { type: 'text', id: part.key, text: part.text, isDone }, ...sources];
  });
}

function isContinued(sent: Sent, next: Sent | undefined): boolean {
  if (sent.id !== next?.id) return false;
  if (!isText(sent) || !isText(next)) return sent.type === next.type;
  return sent.isDone ? next.text === sent.text : next.text.startsWith(sent.text);
}

function changes(before: Sent | undefined, next: Sent, isLater: boolean): readonly Chunk[] {
  switch (next.type) {
    case 'step':
      if (before) return [];
      return isLater ? [{ type: 'finish-step' }, { type: 'start-step' }] : [{ type: 'start-step' }];
    case 'text':
    case 'reasoning':
      return textChanges(before && isText(before) ? before : undefined, next);
    case 'source':
      return before ? [] : [next.chunk];
    case 'tool': {
      const sent = before?.type === 'tool' ? before.chunks.map((chunk) => JSON.stringify(chunk)) : [];
      return next.chunks.filter((chunk) => !sent.includes(JSON.stringify(chunk)));
    }
  }
}

function isText(sent: Sent): sent is SentText {
  return sent.type === 'text' || sent.type === 'reasoning';
}

function textChanges(before: SentText | undefined, next: SentText): Chunk[] {
  const { type, id } = next;
  const delta = next.text.slice(before?.text.length ?? 0);
  return [
    ...(before ? [] : [{ type: `${type}-start`, id } as const]),
    ...(delta === '' ? [] : [{ type: `${type}-delta`, id, delta } as const]),
    ...(next.isDone && !before?.isDone ? [{ type: `${type}-end`, id } as const] : []),
  ];
}

/** A call with its result, in the order in which a stream has them. */
function toolChunks(part: ToolPart): Chunk[] {
  const { toolUseId: toolCallId, name: toolName, input = {}, title } = part;
  const call = {
    type: 'tool-input-available',
    toolCallId,
    toolName,
    input,
    ...(title && { title }),
  } as const;
  // A tool that the backend runs. Others are told apart when the call waits for this page.
  const start: Chunk = { ...call, providerExecuted: true };
  if (part.needs === 'CLIENT') return [start, { ...call, providerExecuted: false }];
  if (part.needs === 'APPROVAL') {
    return [start, { type: 'tool-approval-request', approvalId: toolCallId, toolCallId }];
  }
  return [start, ...resultChunks(part)];
}

function resultChunks({ toolUseId: toolCallId, status, result, note }: ToolPart): Chunk[] {
  switch (status) {
    case 'RUNNING':
    case 'APPROVAL_NEEDED':
    case 'CLIENT_NEEDED':
      return [];
    case 'SUCCEEDED':
      return result
        ? [{ type: 'tool-output-available', toolCallId, output: result.json ?? result.text ?? null }]
        : [];
    case 'DENIED':
      return [{ type: 'tool-output-denied', toolCallId }];
    case 'FAILED':
    case 'EXPIRED':
    case 'CANCELLED':
    case 'UNKNOWN':
      return [
        {
          type: 'tool-output-error',
          toolCallId,
          errorText: result?.text ?? note ?? `The call is ${status}.`,
        },
      ];
  }
}

function sourceOf(partKey: string, citation: PlacedCitation): Sent {
  const { number, title, source, url, passage, page, start, end } = citation;
  const sourceId = `${partKey}/${number}`;
  const providerMetadata = { parlance: { number, source, passage, page, start, end } };
  const chunk: Chunk = url
    ? { type: 'source-url', sourceId, url, title, providerMetadata }
    : { type: 'source-document', sourceId, mediaType: 'text/plain', title, providerMetadata };
  return { type: 'source', id: sourceId, chunk };
}

function finishReason({ status, stopReason }: AssistantMessage): FinishReason {
  if (status === 'WAITING') return 'tool-calls';
  switch (stopReason) {
    case 'END_TURN':
    case 'STOP_SEQUENCE':
      return 'stop';
    case 'MAX_TOKENS':
    case 'CONTEXT_WINDOW_EXCEEDED':
      return 'length';
    case 'GUARDRAIL_INTERVENED':
    case 'CONTENT_FILTERED':
      return 'content-filter';
    default:
      return 'other';
  }
}

type UIPart = ParlanceUIMessage['parts'][number];

function toUIPart(sent: Sent): UIPart[] {
  switch (sent.type) {
    case 'step':
      return [{ type: 'step-start' }];
    case 'text':
    case 'reasoning':
      return [{ type: sent.type, text: sent.text, state: sent.isDone ? 'done' : 'streaming' }];
    case 'source':
      return [sent.chunk as UIPart];
    case 'tool':
      return [sent.chunks.reduce<object>(withToolChunk, {}) as UIPart];
  }
}

/** As the AI SDK changes the part of a tool call by a chunk of its stream. */
function withToolChunk(part: object, chunk: Chunk): object {
  switch (chunk.type) {
    case 'tool-input-available': {
      const { toolName, ...call } = chunk;
      return { ...part, ...call, type: `tool-${toolName}`, state: 'input-available' };
    }
    case 'tool-approval-request':
      return { ...part, state: 'approval-requested', approval: { id: chunk.approvalId } };
    case 'tool-output-available':
      return { ...part, state: 'output-available', output: chunk.output };
    case 'tool-output-error':
      return { ...part, state: 'output-error', errorText: chunk.errorText };
    case 'tool-output-denied':
      return { ...part, state: 'output-denied' };
    default:
      return part;
  }
}
