/** What the rule reads of stored events. */
import type { Citation, ConversationEvent, ToolResult, ToolUse, TurnStatus } from '../generated/schema.js';

/** The joined text; empty if there is none. */
export function textOf(event: ConversationEvent): string {
  return event.text ?? '';
}

/** The tool calls in the content, in order. */
export function toolUsesOf(event: ConversationEvent): ToolUse[] {
  return event.content.flatMap((block) => block.toolUse ?? []);
}

/** The results of tool calls in the content, in order. */
export function toolResultsOf(event: ConversationEvent): ToolResult[] {
  return event.content.flatMap((block) => block.toolResult ?? []);
}

/** The citations of the texts, in order. */
export function citationsOf(event: ConversationEvent): Citation[] {
  return event.content.flatMap((block) => block.citations ?? []);
}

/** Whether an answer ends with this event. */
export function endsAnswer(event: ConversationEvent): boolean {
  return event.sender.kind !== 'USER' && (isSet(event.stopReason) || isSet(event.failure));
}

/** The final status that an event without metadata implies. */
export function impliedStatus(event: ConversationEvent): TurnStatus | undefined {
  if (!endsAnswer(event)) return undefined;
  if (isSet(event.failure)) return 'FAILED';
  return event.stopReason === 'CANCELLED' ? 'CANCELLED' : 'COMPLETED';
}

/** Whether the turn is over. */
export function isEnd(status: TurnStatus): boolean {
  return status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED';
}

function isSet<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}
