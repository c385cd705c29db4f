/** The messages of AppSync Events and of the WebSocket API, which docs/entry-points.md describes. */
import type { ConversationUpdate, Turn } from 'parlance-client';

/** A message to the backend. Its `id` comes back in what answers it; that of a `send` becomes the turn's. */
export type OutgoingMessage =
  | {
      readonly action: 'send';
      readonly id: string;
      readonly text: string;
      /** A message without one begins a conversation. */
      readonly conversationId?: string;
      readonly stream: true;
    }
  | ({ readonly action: 'cancel'; readonly id: string } & TurnName)
  | ({ readonly action: 'retry' | 'continue'; readonly id: string; readonly stream: true } & TurnName)
  | ({
      readonly action: 'answerToolCall';
      readonly id: string;
      readonly toolUseId: string;
      readonly approved: boolean;
      readonly stream: true;
    } & TurnName)
  | ({
      readonly action: 'history';
      readonly id: string;
      readonly attempt?: number;
      readonly afterSequence: number;
    } & TurnName);

export interface TurnName {
  readonly conversationId: string;
  readonly turnId: string;
}

export interface EntryError {
  /** The API's error type, or `Unavailable`. */
  readonly code: string;
  /** A sentence for people. */
  readonly message: string;
}

/** A message of the backend. */
export type IncomingMessage =
  | ({ readonly type: 'accepted' | 'answer'; readonly id: string | undefined } & TurnName)
  | { readonly type: 'delta'; readonly update: ConversationUpdate }
  | { readonly type: 'turn'; readonly id: string | undefined; readonly turn: Turn }
  | { readonly type: 'error'; readonly id: string | undefined; readonly error: EntryError }
  /** A piece of a message that is too large for one. */
  | {
      readonly type: 'part';
      readonly id: string;
      readonly part: number;
      readonly parts: number;
      readonly data: string;
    };

/** Undefined for a message that this page does not use, or does not know. */
export function parseMessage(json: unknown): IncomingMessage | undefined {
  const message = asRecord(json);
  if (!message) return undefined;
  const id = textOf(message['id']);
  switch (message['type']) {
    case 'accepted':
    case 'answer': {
      const turn = turnName(message);
      return turn && { type: message['type'], id, ...turn };
    }
    case 'delta':
      // The members of a ConversationUpdate, besides `type` and `id`.
      return { type: 'delta', update: message as unknown as ConversationUpdate };
    case 'turn': {
      const turn = asRecord(message['turn']);
      return turn && { type: 'turn', id, turn: turn as unknown as Turn };
    }
    case 'error':
      return { type: 'error', id, error: errorOf(message) };
    case 'part':
      return partOf(message, id);
    default:
      return undefined;
  }
}

/** Over AppSync Events an answer has the conversation as `sessionId`. */
function turnName(message: Record<string, unknown>): TurnName | undefined {
  const conversationId = textOf(message['conversationId'] ?? message['sessionId']);
  const turnId = textOf(message['turnId']);
  return conversationId !== undefined && turnId !== undefined ? { conversationId, turnId } : undefined;
}

function errorOf({ code, message }: Record<string, unknown>): EntryError {
  return { code: textOf(code) ?? 'Error', message: textOf(message) ?? 'The message was refused.' };
}

function partOf(message: Record<string, unknown>, id: string | undefined): IncomingMessage | undefined {
  const { part, parts, data } = message;
  const isPart = typeof part === 'number' && typeof parts === 'number' && typeof data === 'string';
  return isPart && id !== undefined ? { type: 'part', id, part, parts, data } : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : undefined;
}
