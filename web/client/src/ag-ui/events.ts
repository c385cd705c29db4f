/** From an answer of Parlance to the messages and events of AG-UI. */
import {
  EventType,
  type AGUIEvent,
  type AssistantMessage as AgAssistantMessage,
  type Interrupt,
  type Message as AgMessage,
  type RunFinishedOutcome,
  type ToolMessage,
} from '@ag-ui/client';
import { shownPartsOf } from '../adapters/conversations.js';
import type { AssistantMessage, Message, ToolPart } from '../index.js';

/** What a run has told of an answer. The parts of a step are one message, and each result is a message. */
type Sent =
  | { readonly type: 'step'; readonly id: string }
  | SentText
  | { readonly type: 'call'; readonly id: string; readonly messageId: string; readonly part: ToolPart }
  | { readonly type: 'result'; readonly id: string; readonly message: ToolMessage };

interface SentText {
  readonly type: 'text' | 'reasoning';
  readonly id: string;
  readonly text: string;
  readonly isDone: boolean;
}

/** The messages of a conversation as AG-UI has them. */
export function toAgMessages(messages: readonly Message[]): AgMessage[] {
  return messages.flatMap((message): AgMessage[] =>
    message.role === 'user'
      ? [{ id: message.id, role: 'user', content: message.text }]
      : messagesOf(sentOf(message)),
  );
}

/**
 * Turns the successive states of an answer into events. Where another attempt replaces what one has brought,
 * a snapshot of all messages takes back the step, and its new events follow.
 */
export class EventWriter {
  readonly #earlier: readonly AgMessage[];
  #sent: readonly Sent[];
  #openStep: string | undefined;

  /** `earlier` are the messages before the answer, `before` is the answer when its last run ended. */
  constructor(earlier: readonly AgMessage[], before?: AssistantMessage) {
    this.#earlier = earlier;
    this.#sent = before ? sentOf(before) : [];
  }

  update(answer: AssistantMessage): AGUIEvent[] {
    const next = sentOf(answer);
    const changed = this.#sent.findIndex((sent, index) => !isContinued(sent, next[index]));
    const before = changed === -1 ? this.#sent : this.#sent.slice(0, stepStart(this.#sent, changed));
    const snapshot: AGUIEvent = {
      type: EventType.MESSAGES_SNAPSHOT,
      messages: [...this.#earlier, ...messagesOf(before)],
    };
    const takenBack = changed === -1 ? [] : [...this.end(), snapshot];
    this.#sent = next;
    return [...takenBack, ...next.flatMap((sent, index) => this.#changes(before[index], sent))];
  }

  /** Closes what is open. */
  end(): AGUIEvent[] {
    const last = this.#sent.at(-1);
    const isOpen = last && isText(last) && !last.isDone;
    return [...(isOpen ? textEnd(last) : []), ...this.#endStep()];
  }

  #changes(before: Sent | undefined, next: Sent): AGUIEvent[] {
    switch (next.type) {
      case 'step':
        return before ? [] : [...this.#endStep(), ...this.#startStep(next.id)];
      case 'text':
      case 'reasoning':
        return textEvents(before && isText(before) ? before : undefined, next);
      case 'call':
        return before ? [] : callEvents(next.messageId, next.part);
      case 'result':
        return before ? [] : [resultEvent(next.message)];
    }
  }

  #startStep(stepName: string): AGUIEvent[] {
    this.#openStep = stepName;
    return [{ type: EventType.STEP_STARTED, stepName }];
  }

  #endStep(): AGUIEvent[] {
    const stepName = this.#openStep;
    this.#openStep = undefined;
    return stepName === undefined ? [] : [{ type: EventType.STEP_FINISHED, stepName }];
  }
}

/** How a run ends: with interrupts for approvals, or with the calls of the page's tools that wait. */
export function outcomeOf({ parts, status }: AssistantMessage): RunFinishedOutcome {
  if (status === 'CANCELLED') return { type: 'cancelled' };
  const waiting = parts.filter((part) => part.type === 'tool').filter(({ needs }) => needs !== undefined);
  const approvals = waiting.filter(({ needs }) => needs === 'APPROVAL');
  if (approvals.length > 0) return { type: 'interrupt', interrupts: approvals.map(interruptOf) };
  const pendingToolCallIds = waiting.map(({ toolUseId }) => toolUseId);
  return { type: 'success', ...(pendingToolCallIds.length > 0 && { pendingToolCallIds }) };
}

function interruptOf({ toolUseId, title, name }: ToolPart): Interrupt {
  return {
    id: toolUseId,
    reason: 'tool_approval',
    message: `Allow ${title ?? name}?`,
    toolCallId: toolUseId,
    responseSchema: APPROVAL_SCHEMA,
  };
}

const APPROVAL_SCHEMA = {
  type: 'object',
  properties: { approved: { type: 'boolean' }, reason: { type: 'string' } },
  required: ['approved'],
};

function sentOf({ parts: allParts, status, turnId }: AssistantMessage): Sent[] {
  const parts = shownPartsOf(allParts);
  return parts.flatMap((part, index): Sent[] => {
    const isFirst = part.step !== parts[index - 1]?.step;
    const isLast = part.step !== parts[index + 1]?.step;
    const step: Sent[] = isFirst ? [{ type: 'step', id: `${turnId} step ${part.step + 1}` }] : [];
    const ofStep = parts.filter((other) => other.step === part.step);
    const results = isLast ? ofStep.flatMap(resultOf) : [];
    if (part.type !== 'tool') {
      const isDone = index < parts.length - 1 || status !== 'STREAMING';
      return [...step, { type: part.type, id: part.key, text: part.text, isDone }, ...results];
    }
    const messageId = ofStep.find(({ type }) => type !== 'reasoning')?.key ?? part.key;
    return [...step, { type: 'call', id: `${part.key} call`, messageId, part }, ...results];
  });
}

function resultOf(part: AssistantMessage['parts'][number]): Sent[] {
  if (part.type !== 'tool' || !part.result) return [];
  const { json, text } = part.result;
  const id = `${part.key}/result`;
  const content = json === undefined ? (text ?? part.status) : JSON.stringify(json);
  const error = part.status === 'SUCCEEDED' ? {} : { error: text ?? part.note ?? part.status };
  return [
    { type: 'result', id, message: { id, role: 'tool', toolCallId: part.toolUseId, content, ...error } },
  ];
}

function messagesOf(sent: readonly Sent[]): AgMessage[] {
  return sent.reduce<AgMessage[]>((messages, one) => {
    switch (one.type) {
      case 'step':
        return messages;
      case 'text':
        return [...messages, { id: one.id, role: 'assistant', content: one.text }];
      case 'reasoning':
        return [...messages, { id: one.id, role: 'reasoning', content: one.text }];
      case 'call':
        return withCall(messages, one.messageId, one.part);
      case 'result':
        return [...messages, one.message];
    }
  }, []);
}

function withCall(messages: readonly AgMessage[], id: string, part: ToolPart): AgMessage[] {
  const known = messages.find((message): message is AgAssistantMessage => message.id === id);
  const call = {
    id: part.toolUseId,
    type: 'function',
    function: { name: part.name, arguments: part.inputText },
  } as const;
  const changed: AgAssistantMessage = {
    ...(known ?? { id, role: 'assistant' }),
    toolCalls: [...(known?.toolCalls ?? []), call],
  };
  return known ? messages.map((message) => (message === known ? changed : message)) : [...messages, changed];
}

function isContinued(sent: Sent, next: Sent | undefined): boolean {
  if (sent.id !== next?.id) return false;
  if (!isText(sent) || !isText(next)) return sent.type === next.type;
  return sent.isDone ? next.text === sent.text : next.text.startsWith(sent.text);
}

function stepStart(sent: readonly Sent[], index: number): number {
  return sent
    .slice(0, index + 1)
    .map(({ type }) => type)
    .lastIndexOf('step');
}

function isText(sent: Sent): sent is SentText {
  return sent.type === 'text' || sent.type === 'reasoning';
}

function textEvents(before: SentText | undefined, next: SentText): AGUIEvent[] {
  const { id: messageId } = next;
  const delta = next.text.slice(before?.text.length ?? 0);
  const type = next.type === 'text' ? EventType.TEXT_MESSAGE_CONTENT : EventType.REASONING_MESSAGE_CONTENT;
  return [
    ...(before ? [] : textStart(next)),
    ...(delta === '' ? [] : [{ type, messageId, delta } as AGUIEvent]),
    ...(next.isDone && !before?.isDone ? textEnd(next) : []),
  ];
}

function textStart({ type, id: messageId }: SentText): AGUIEvent[] {
  return type === 'text'
    ? [{ type: EventType.TEXT_MESSAGE_START, messageId, role: 'assistant' }]
    : [
        { type: EventType.REASONING_START, messageId },
        { type: EventType.REASONING_MESSAGE_START, messageId, role: 'reasoning' },
      ];
}

function textEnd({ type, id: messageId }: SentText): AGUIEvent[] {
  return type === 'text'
    ? [{ type: EventType.TEXT_MESSAGE_END, messageId }]
    : [
        { type: EventType.REASONING_MESSAGE_END, messageId },
        { type: EventType.REASONING_END, messageId },
      ];
}

function callEvents(
  parentMessageId: string,
  { toolUseId: toolCallId, name, inputText }: ToolPart,
): AGUIEvent[] {
  return [
    { type: EventType.TOOL_CALL_START, toolCallId, toolCallName: name, parentMessageId },
    { type: EventType.TOOL_CALL_ARGS, toolCallId, delta: inputText },
    { type: EventType.TOOL_CALL_END, toolCallId },
  ];
}

function resultEvent({ id: messageId, toolCallId, content }: ToolMessage): AGUIEvent {
  return { type: EventType.TOOL_CALL_RESULT, messageId, toolCallId, content, role: 'tool' };
}
