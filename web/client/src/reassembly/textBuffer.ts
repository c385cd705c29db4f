/**
 * The displayed answer of one turn: what earlier runs have stored, then what the current attempt has brought.
 *
 * Reasoning is no part of the text. It is streamed in blocks of its own, which an event or another attempt
 * takes away; `events` has what is stored of it.
 */
import type { Citation, ConversationEvent } from '../generated/schema.js';
import { textOf } from './events.js';
import { isEqual } from './isEqual.js';

/** A change of the text: the end of the new one, or all of it. */
export type TextChange =
  { readonly type: 'appended'; readonly text: string } | { readonly type: 'replaced'; readonly text: string };

/** Text or reasoning that batches have brought and no stored event has yet. */
export interface StreamingBlock {
  readonly type: 'text' | 'reasoning';
  /** Not unique: a block goes on in another item after one that comes between, and again after an event. */
  readonly contentBlockIndex: number;
  readonly text: string;
  /** Their places are in `text`. */
  readonly citations: readonly Citation[];
}

type Base =
  /** What was displayed before the attempt: its last blocks may not be stored as they are. */
  | {
      readonly kind: 'DISPLAYED';
      readonly events: readonly ConversationEvent[];
      readonly blocks: readonly StreamingBlock[];
    }
  | { readonly kind: 'STORED'; readonly events: readonly ConversationEvent[] };

const NONE: readonly never[] = [];

/**
 * The text is kept as one string beside the events and blocks: to append costs no more than the batch,
 * because JavaScript joins strings lazily.
 */
export class TextBuffer {
  /** The displayed events, in order. */
  events: readonly ConversationEvent[] = NONE;
  /** The displayed text after `events`. */
  streaming: readonly StreamingBlock[] = NONE;

  #text = '';
  #base: Base = { kind: 'STORED', events: NONE };
  /** Length of the text of the base. */
  #baseLength = 0;
  /** The attempt's stored events. */
  #own: readonly ConversationEvent[] = NONE;
  /** Length of the text of the base and of the attempt's stored events. Batches brought the rest. */
  #committedLength = 0;
  #blocks: readonly StreamingBlock[] = NONE;

  /**
   * Makes the answer so far the base of the next attempt, until `setBase` corrects it. Drops what an attempt
   * brought that continued a base and died: no later attempt continues that text.
   */
  startAttempt(hasPreviousEnded: boolean): TextChange | undefined {
    const keepsAll = hasPreviousEnded || this.#baseLength === 0;
    this.#base = keepsAll
      ? { kind: 'DISPLAYED', events: this.events, blocks: this.streaming.filter(isText) }
      : { kind: 'DISPLAYED', events: this.#base.events, blocks: blocksOf(this.#base) };
    this.#baseLength = keepsAll ? this.#text.length : this.#baseLength;
    this.#committedLength = this.#baseLength;
    this.#own = NONE;
    this.#blocks = NONE;
    this.#refresh();
    return this.#replaceText(this.#text.slice(0, this.#baseLength));
  }

  /** Replaces the base by stored events, and keeps after it what the attempt has brought. */
  setBase(events: readonly ConversationEvent[]): TextChange | undefined {
    const baseText = joinedText(events);
    const text = baseText + this.#text.slice(this.#baseLength);
    this.#base = { kind: 'STORED', events: this.#reuse(events) };
    this.#committedLength += baseText.length - this.#baseLength;
    this.#baseLength = baseText.length;
    this.#refresh();
    return this.#replaceText(text);
  }

  /** Adds what a batch has brought. The places of its citations are in the whole content block. */
  append(batch: StreamingBlock): void {
    if (isText(batch)) this.#text += batch.text;
    this.#blocks = appendToBlocks(this.#blocks, batch);
    this.#refreshStreaming();
  }

  /**
   * Adds a stored event that does not end the answer. Batches of the next event may be displayed already, so
   * text after the event's own is kept.
   */
  commit(event: ConversationEvent): TextChange | undefined {
    const text = textOf(event);
    const isDisplayed = this.#text.startsWith(text, this.#committedLength);
    if (!isDisplayed) return this.finish(event);
    this.#own = [...this.#own, event];
    this.#committedLength += text.length;
    this.#blocks = withoutStart(this.#blocks, text.length);
    this.#refresh();
    return undefined;
  }

  /** Adds the stored event that ends the answer: nothing follows its text. */
  finish(event: ConversationEvent): TextChange | undefined {
    const text = this.#text.slice(0, this.#committedLength) + textOf(event);
    this.#own = [...this.#own, event];
    this.#committedLength = text.length;
    this.#blocks = NONE;
    this.#refresh();
    return this.#replaceText(text);
  }

  /** Replaces everything by the whole stored answer. */
  replace(events: readonly ConversationEvent[]): TextChange | undefined {
    const text = joinedText(events);
    this.#base = { kind: 'STORED', events: this.#reuse(events) };
    this.#baseLength = text.length;
    this.#committedLength = text.length;
    this.#own = NONE;
    this.#blocks = NONE;
    this.#refresh();
    return this.#replaceText(text);
  }

  /** Returns an append where the new text only extends the old one, and undefined where they are equal. */
  #replaceText(text: string): TextChange | undefined {
    const old = this.#text;
    if (text === old) return undefined;
    this.#text = text;
    return text.startsWith(old)
      ? { type: 'appended', text: text.slice(old.length) }
      : { type: 'replaced', text };
  }

  #refresh(): void {
    const own = this.#base.kind === 'STORED' ? this.#own : NONE;
    this.events = [...this.#base.events, ...own];
    this.#refreshStreaming();
  }

  /** The attempt's own events are displayed as events once those before them are known. */
  #refreshStreaming(): void {
    const before =
      this.#base.kind === 'STORED' ? NONE : [...this.#base.blocks, ...this.#own.flatMap(blocksOfEvent)];
    this.streaming = [...before, ...this.#blocks];
  }

  /** The events with those that are displayed already in place of their equals. */
  #reuse(events: readonly ConversationEvent[]): readonly ConversationEvent[] {
    const known = new Map([...this.#base.events, ...this.#own].map((event) => [event.id, event]));
    return events.map((event) => {
      const old = known.get(event.id);
      return old && isEqual(old, event) ? old : event;
    });
  }
}

function joinedText(events: readonly ConversationEvent[]): string {
  return events.map(textOf).join('');
}

function blocksOf(base: Base): readonly StreamingBlock[] {
  return base.kind === 'DISPLAYED' ? base.blocks : NONE;
}

function blocksOfEvent(event: ConversationEvent): StreamingBlock[] {
  const text = textOf(event);
  return text === '' ? [] : [{ type: 'text', contentBlockIndex: 0, text, citations: NONE }];
}

function isText({ type }: StreamingBlock): boolean {
  return type === 'text';
}

function appendToBlocks(blocks: readonly StreamingBlock[], batch: StreamingBlock): readonly StreamingBlock[] {
  const { type, contentBlockIndex, text } = batch;
  const last = blocks.at(-1);
  const isOfLast = last?.contentBlockIndex === contentBlockIndex && last.type === type;
  const before = isOfLast ? blocks.slice(0, -1) : blocks;
  const block = isOfLast ? last : { text: '', citations: NONE };
  const citations = batch.citations.map((citation) => placedAfter(before, contentBlockIndex, citation));
  return [
    ...before,
    {
      type,
      contentBlockIndex,
      text: block.text + text,
      citations: citations.length === 0 ? block.citations : [...block.citations, ...citations],
    },
  ];
}

/** The citation with its place in the text after those items of its block that came before. */
function placedAfter(
  before: readonly StreamingBlock[],
  contentBlockIndex: number,
  citation: Citation,
): Citation {
  const ofBlock = before.filter((block) => block.contentBlockIndex === contentBlockIndex);
  const length = ofBlock.reduce((sum, block) => sum + block.text.length, 0);
  if (length === 0) return citation;
  return {
    ...citation,
    start: Math.max(citation.start - length, 0),
    end: Math.max(citation.end - length, 0),
  };
}

/**
 * The blocks after so much text, which a stored event has. The rest of a block begins a block of the next
 * event, so the places of its citations are not known until that event is stored.
 */
function withoutStart(blocks: readonly StreamingBlock[], length: number): readonly StreamingBlock[] {
  let rest = length;
  const remaining: StreamingBlock[] = [];
  for (const block of blocks.filter(isText)) {
    const cut = Math.min(rest, block.text.length);
    rest -= cut;
    if (cut === block.text.length) continue;
    remaining.push(cut === 0 ? block : { ...block, text: block.text.slice(cut), citations: NONE });
  }
  return remaining;
}
