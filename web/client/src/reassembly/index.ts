/**
 * Reassembly of numbered updates, some of them lost, duplicated or late, into exactly the stored answer.
 *
 * An update carries the attempt that published it and its sequence within that attempt. An update of a lower
 * attempt is dropped. A higher attempt starts at sequence 1, after the text it continues or after nothing.
 * The next sequence is applied; a later one proves a gap, which getTurn fills. getTurn is also called after
 * subscribing, after reconnecting, and after ten seconds without an update while a turn is open. While a turn
 * waits for tool calls nothing runs, and a check each minute is enough.
 *
 * Nothing here reads a clock or a socket: the caller passes in what happened and the time, then drains what
 * to fetch and what to display. It is the rule of client/src/reassembly in Rust; tests/client-rule holds for
 * both.
 */
export {
  ConversationReassembly,
  type ConversationChange,
  type ConversationEvents,
  type Fetch,
  type TitleChange,
  type TurnChange,
} from './conversation.js';
export type { StreamingBlock, TextChange } from './textBuffer.js';
export {
  TurnReassembly,
  type Change,
  type TurnEnd,
  type TurnNote,
  type TurnQuery,
  type TurnView,
} from './turn.js';
