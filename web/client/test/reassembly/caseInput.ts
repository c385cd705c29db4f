/** What the API sends, with the members that the cases leave out. */
import type { ConversationUpdate, Turn } from '../../src/generated/schema.js';
import type { ConversationEvents } from '../../src/reassembly/index.js';

export type Json = Readonly<Record<string, unknown>>;

/** The turn of a case that is about one. */
export const TURN_ID = 't';

export function completeUpdate(input: unknown): ConversationUpdate {
  const update = { conversationId: 'c', turnId: TURN_ID, attempt: 1, metadata: {}, ...(input as Json) };
  return {
    ...update,
    metadata: mapped(update.metadata, completeMetadata),
    event: mapped((input as Json)['event'], (event) => completeEvent(event, update)),
  } as unknown as ConversationUpdate;
}

/** The answer of getTurn. */
export function completeTurn(input: unknown): Turn {
  const defaults = {
    id: TURN_ID,
    conversationId: 'c',
    status: 'RUNNING',
    run: 1,
    attempt: 1,
    hasMoreBatches: false,
  };
  const turn = { ...defaults, ...(input as Json) };
  const owner = { turnId: turn.id, attempt: turn.attempt };
  const { question, answer, batches, pending } = input as Json;
  const completeBatch = (batch: Json) => ({
    attempt: turn.attempt,
    ...batch,
    metadata: completeMetadata((batch['metadata'] ?? {}) as Json),
  });
  return {
    ...turn,
    question: mapped(question, (event) => completeEvent(event, owner)),
    answer: mappedItems(answer, (event) => completeEvent(event, owner)),
    batches: mappedItems(batches, completeBatch),
    pending: mappedItems(pending, completeCall),
  } as unknown as Turn;
}

/** The answer of getConversation. */
export function completeEvents(input: unknown): ConversationEvents {
  const { activeTurn, events } = input as Json;
  const owner = { turnId: TURN_ID, attempt: 1 };
  return {
    activeTurn: mapped(activeTurn, (turn) => ({ status: 'RUNNING', ...turn })),
    events: mapped(events, (page) => ({
      hasMore: false,
      ...page,
      items: mappedItems(page['items'], (event) => completeEvent(event, owner)),
    })),
  } as unknown as ConversationEvents;
}

/** `owner` is what the event is in. */
function completeEvent(event: Json, owner: { turnId: unknown; attempt: unknown }): Json {
  const isUser = (event['sender'] as Json | undefined)?.['kind'] === 'USER';
  const { text, content, position } = event;
  return {
    id: isUser ? owner.turnId : `e${String(position)}`,
    conversationId: 'c',
    turnId: owner.turnId,
    attempt: isUser ? null : owner.attempt,
    sender: { kind: 'AGENT' },
    createdAt: '2026-01-01T00:00:00Z',
    ...event,
    content: mappedItems(content, completeBlock) ?? (typeof text === 'string' ? [{ text }] : []),
  };
}

function completeBlock(block: Json): Json {
  return { ...block, toolUse: mapped(block['toolUse'], (call) => ({ name: 'tool', input: '{}', ...call })) };
}

function completeMetadata(metadata: Json): Json {
  return {
    status: 'RUNNING',
    ...metadata,
    toolCall: mapped(metadata['toolCall'], completeCall),
    pending: mappedItems(metadata['pending'], completeCall),
  };
}

function completeCall(call: Json): Json {
  return { name: 'tool', ...call };
}

function mapped(value: unknown, map: (value: Json) => Json): Json | null {
  return value === null || value === undefined ? null : map(value as Json);
}

function mappedItems(value: unknown, map: (value: Json) => Json): Json[] | null {
  return value === null || value === undefined ? null : (value as Json[]).map(map);
}
