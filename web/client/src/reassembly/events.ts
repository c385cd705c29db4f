/** What the rule reads of stored events. */
import type { Citation, ContentBlock, ConversationEvent, TurnStatus } from '../generated/schema.js';
import { isSet } from './isEqual.js';

/** The joined text; empty if there is none. */
export function textOf(event: ConversationEvent): string {
  return event.text ?? '';
}

/** The tool calls, their results or the reasoning in the content, in order. */
export function membersOf<Name extends 'toolUse' | 'toolResult' | 'reasoning'>(
  event: ConversationEvent,
  name: Name,
): NonNullable<ContentBlock[Name]>[] {
  return event.content.flatMap((block) => block[name] ?? []);
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
export function isEnd(status: TurnStatus): status is 'COMPLETED' | 'CANCELLED' | 'FAILED' {
  return status === 'COMPLETED' || status === 'CANCELLED' || status === 'FAILED';
}
