/**
 * Splits a text that grows into the blocks of its Markdown, so that only its end is read again when text is
 * appended, and only blocks that have changed are rendered again.
 */
import type { Token, Tokens } from 'marked';
import { lexBlocks, type LinkDefinitions } from './lexer.js';

export type Block = MarkdownBlock | CodeBlock | PlainBlock;

interface Place {
  /** The place of the block in the text, in UTF-16 code units. */
  readonly from: number;
  readonly to: number;
}

/** A paragraph, list, table and so on, or a part of one that is long. */
export interface MarkdownBlock extends Place {
  readonly kind: 'markdown';
  readonly source: string;
  /** How much of the source is not at `from`, but the header of a table that is repeated in this part. */
  readonly prefixLength: number;
  /** Whether it goes on with the paragraph, list or table of the block before. */
  readonly continues: boolean;
  /** The number of the first item, where that is not the one in the source. */
  readonly listStart?: number;
}

/** A fenced code block. It is open while its closing fence has not arrived. */
export interface CodeBlock extends Place {
  readonly kind: 'code';
  readonly code: string;
  readonly language: string;
  readonly isOpen: boolean;
}

/** Text that is too long to be read as Markdown. */
export interface PlainBlock extends Place {
  readonly kind: 'plain';
  readonly source: string;
}

export interface Blocks {
  readonly text: string;
  readonly blocks: readonly Block[];
  readonly definitions: LinkDefinitions;
  /** Where the next split begins: the blocks before cannot change any more. */
  readonly resume: Resume;
}

interface Resume {
  readonly blockCount: number;
  readonly position: number;
  readonly definitions: LinkDefinitions;
  readonly continuation: Continuation;
}

/** What the part after a cut needs of the part before it. */
interface Continuation {
  readonly prefix: string;
  readonly continues: boolean;
  readonly listStart?: number;
}

/** Longer lists, tables and paragraphs are cut, in UTF-16 code units. Tests use other limits. */
export const LONGEST_BLOCK = 4000;
/** A paragraph costs less, and a cut is seen. */
const LONGER = 4;
/** What cannot be cut and is longer is no Markdown. */
const LONGEST_MARKDOWN = 20_000;

const NOTHING: Continuation = { prefix: '', continues: false };
const NO_DEFINITIONS: LinkDefinitions = Object.freeze(Object.create(null) as object) as LinkDefinitions;
const EMPTY: Blocks = {
  text: '',
  blocks: [],
  definitions: NO_DEFINITIONS,
  resume: { blockCount: 0, position: 0, definitions: NO_DEFINITIONS, continuation: NOTHING },
};

/** The blocks of a text. Where `previous` is of a beginning of the text, unchanged blocks are the same objects. */
export function splitBlocks(text: string, previous: Blocks = EMPTY, longest = LONGEST_BLOCK): Blocks {
  const base = text.startsWith(previous.text) ? previous : EMPTY;
  if (base.text.length === text.length) return base;
  const reader = new BlockReader(text, base, longest);
  return reader.read();
}

class BlockReader {
  readonly #text: string;
  readonly #base: Blocks;
  readonly #longest: number;
  readonly #blocks: Block[];
  #definitions: LinkDefinitions;
  #resume: Resume;

  constructor(text: string, base: Blocks, longest: number) {
    this.#text = text;
    this.#base = base;
    this.#longest = longest;
    this.#blocks = base.blocks.slice(0, base.resume.blockCount);
    this.#definitions = base.resume.definitions;
    this.#resume = base.resume;
  }

  read(): Blocks {
    const complete = this.#text.lastIndexOf('\n') + 1;
    if (complete > this.#base.text.length) this.#readTo(complete, true);
    this.#blocks.length = this.#resume.blockCount;
    this.#definitions = this.#resume.definitions;
    this.#readTo(this.#text.length, false);
    const definitions = sameDefinitions(this.#base.definitions, this.#definitions);
    return { text: this.#text, blocks: this.#blocks, definitions, resume: this.#resume };
  }

  /**
   * Only the blocks of complete lines, but the last, are sure: a line that is not complete may change what
   * the lines before it are, as the second line of a table does.
   */
  #readTo(end: number, mayResume: boolean): void {
    const { position, continuation } = this.#resume;
    const tokens = lexBlocks(continuation.prefix + this.#text.slice(position, end));
    const last = tokens.findLastIndex(({ type }) => type !== 'space');
    let offset = position - continuation.prefix.length;
    tokens.forEach((token, index) => {
      const first = index === 0 ? continuation : NOTHING;
      const isSure = mayResume && index <= last;
      if (isSure) this.#resumeAt(offset + first.prefix.length, first);
      this.#add(token, offset, first, isSure);
      offset += token.raw.length;
    });
  }

  #resumeAt(position: number, continuation: Continuation): void {
    const { length: blockCount } = this.#blocks;
    this.#resume = { blockCount, position, definitions: this.#definitions, continuation };
  }

  #add(token: Token, start: number, first: Continuation, mayResume: boolean): void {
    if (token.type === 'space') return;
    if (token.type === 'def') {
      const { tag, href, title } = token as Tokens.Def;
      if (!(tag in this.#definitions)) {
        this.#definitions = withDefinition(this.#definitions, tag, { href, title });
      }
      return;
    }
    if (isFenced(token)) {
      this.#push({ kind: 'code', ...codeOf(token), from: start, to: start + token.raw.length });
      return;
    }
    this.#addPieces(cut(token, first, this.#longest), start + first.prefix.length, mayResume);
  }

  #addPieces(pieces: readonly Piece[], start: number, mayResume: boolean): void {
    let from = start;
    pieces.forEach((piece, index) => {
      if (index > 0 && mayResume) this.#resumeAt(from, piece);
      const to = from + piece.source.length;
      this.#push(blockOf(piece, from, to));
      from = to;
    });
  }

  /** Keeps the identity of a block that has not changed. */
  #push(block: Block): void {
    const before = this.#base.blocks[this.#blocks.length];
    this.#blocks.push(before && isSameBlock(before, block) ? before : block);
  }
}

function isFenced(token: Token): token is Tokens.Code {
  return token.type === 'code' && token.codeBlockStyle !== 'indented';
}

function codeOf({ raw, text, lang = '' }: Tokens.Code): Pick<CodeBlock, 'code' | 'language' | 'isOpen'> {
  const fence = /^ {0,3}(`+|~+)/.exec(raw)?.[1] ?? '';
  const lastLine = /\n {0,3}(`+|~+)[ \t]*\n*$/.exec(raw)?.[1] ?? '';
  const isOpen = !(lastLine.startsWith(fence) && fence !== '');
  return { code: text, language: /^\S*/.exec(lang)?.[0] ?? '', isOpen };
}

/** A part of a token: its own source, after what comes from elsewhere. */
interface Piece extends Continuation {
  readonly source: string;
}

function cut(token: Token, first: Continuation, longest: number): Piece[] {
  const source = token.raw.slice(first.prefix.length);
  const whole: Piece = { ...first, source };
  if (token.type === 'list') return cutList(token as Tokens.List, first, longest);
  if (source.length <= longest) return [whole];
  if (token.type === 'table') return cutTable(token.raw, first, longest);
  if (token.type === 'paragraph') return cutParagraph(source, first, LONGER * longest);
  if (token.type === 'html') {
    return cutLines(source, longest).map((part, index) => pieceAt(index, part, first));
  }
  return [whole];
}

function cutList(list: Tokens.List, first: Continuation, longest: number): Piece[] {
  const start = list.ordered ? (first.listStart ?? Number(list.start)) : undefined;
  const starts: number[] = [];
  const parts: string[] = [];
  list.items.forEach((item, index) => {
    const part = parts.at(-1);
    if (part === undefined || part.length > longest) {
      parts.push(item.raw);
      starts.push(index);
    } else {
      parts[parts.length - 1] = part + item.raw;
    }
  });
  return parts.map((source, index) => ({
    ...pieceAt(index, source, first),
    ...(start === undefined ? {} : { listStart: start + (starts[index] ?? 0) }),
  }));
}

function cutTable(raw: string, first: Continuation, longest: number): Piece[] {
  const header = /^[^\n]*\n[^\n]*\n/.exec(raw)?.[0] ?? '';
  const [head = '', ...rest] = cutLines(raw.slice(first.prefix.length), longest);
  return [{ ...first, source: head }, ...rest.map((source) => ({ prefix: header, continues: true, source }))];
}

/** Cuts before a word, so that no part begins like a list or a heading. */
function cutParagraph(source: string, first: Continuation, longest: number): Piece[] {
  const parts: string[] = [];
  let rest = source;
  while (rest.length > longest) {
    const end = wordBefore(rest, longest);
    parts.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return [...parts, rest].map((part, index) => pieceAt(index, part, first));
}

/** The place after the last space within the limit that a letter follows; the limit where there is none. */
function wordBefore(text: string, limit: number): number {
  for (let end = limit; end > limit / 2; end -= 1) {
    if (/^\s\p{L}/u.test(text.slice(end - 1, end + 1))) return end;
  }
  return limit;
}

function cutLines(source: string, longest: number): string[] {
  const parts: string[] = [];
  for (const line of source.split(/(?<=\n)/)) {
    const part = parts.at(-1);
    if (part === undefined || part.length + line.length > longest) parts.push(line);
    else parts[parts.length - 1] = part + line;
  }
  return parts;
}

function pieceAt(index: number, source: string, first: Continuation): Piece {
  return index === 0 ? { ...first, source } : { ...NOTHING, continues: true, source };
}

function blockOf({ source, prefix, continues, listStart }: Piece, from: number, to: number): Block {
  if (source.length > LONGEST_MARKDOWN) return { kind: 'plain', source, from, to };
  return {
    kind: 'markdown',
    source: prefix + source,
    prefixLength: prefix.length,
    continues,
    ...(listStart === undefined ? {} : { listStart }),
    from,
    to,
  };
}

function isSameBlock(a: Block, b: Block): boolean {
  const other: Readonly<Record<string, unknown>> = { ...b };
  return a.kind === b.kind && Object.entries(a).every(([name, value]) => other[name] === value);
}

function withDefinition(
  definitions: LinkDefinitions,
  tag: string,
  target: { href: string; title: string },
): LinkDefinitions {
  // No prototype: a label may be any word, such as "constructor".
  return Object.assign(Object.create(null) as object, definitions, { [tag]: target });
}

function sameDefinitions(before: LinkDefinitions, after: LinkDefinitions): LinkDefinitions {
  return JSON.stringify(before) === JSON.stringify(after) ? before : after;
}
