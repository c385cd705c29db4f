import type { PlacedCitation, TextPart } from 'parlance-client';
import { memo, useState } from 'react';
import { BlockView } from '../markdown/BlockView.js';
import { splitBlocks, type Block, type Blocks } from '../markdown/blocks.js';
import type { LinkDefinitions } from '../markdown/lexer.js';
import { CitationButton } from './CitationButton.js';

/** Blocks that are rendered together: of a long answer, only the last group is looked at with each update. */
const GROUP_SIZE = 25;

/** A text of an answer as Markdown. */
export const TextPartView = memo(function TextPartView({ part }: { part: TextPart }) {
  const { blocks, definitions } = useBlocks(part.text);
  const groups: (readonly Block[])[] = [];
  for (let start = 0; start < blocks.length; start += GROUP_SIZE) {
    groups.push(blocks.slice(start, start + GROUP_SIZE));
  }
  return (
    <div className="markdown" data-testid="text">
      {groups.map((group, index) => (
        <BlockGroup key={index} blocks={group} definitions={definitions} citations={part.citations} />
      ))}
    </div>
  );
});

interface BlockGroupProps {
  readonly blocks: readonly Block[];
  readonly definitions: LinkDefinitions;
  readonly citations: readonly PlacedCitation[];
}

const BlockGroup = memo(
  function BlockGroup({ blocks, definitions, citations }: BlockGroupProps) {
    return (
      <div className="block-group">
        {blocks.map((block, index) => (
          <BlockView
            key={index}
            block={block}
            definitions={definitions}
            citations={citationsOf(block, citations)}
            renderCitation={renderCitation}
          />
        ))}
      </div>
    );
  },
  (before, after) =>
    before.definitions === after.definitions &&
    isSameList(before.blocks, after.blocks, (a, b) => a === b) &&
    isSameList(citationsOfGroup(before), citationsOfGroup(after), isSameCitation),
);

function citationsOfGroup({ blocks, citations }: BlockGroupProps): readonly PlacedCitation[] {
  if (citations.length === 0) return NONE;
  const from = blocks[0]?.from ?? 0;
  const to = blocks.at(-1)?.to ?? 0;
  return citations.filter(({ end }) => end > from && end <= to);
}

const NONE: readonly PlacedCitation[] = [];

/** Those whose text ends in the block. */
function citationsOf({ from, to }: Block, citations: readonly PlacedCitation[]): readonly PlacedCitation[] {
  if (citations.length === 0) return NONE;
  const own = citations.filter(({ end }) => end > from && end <= to);
  return own.length === 0 ? NONE : own;
}

function renderCitation(citation: PlacedCitation) {
  return <CitationButton citation={citation} />;
}

function isSameCitation(a: PlacedCitation, b: PlacedCitation): boolean {
  const isSamePlace = a.number === b.number && a.start === b.start && a.end === b.end;
  return isSamePlace && a.stored?.eventId === b.stored?.eventId && a.stored?.index === b.stored?.index;
}

function isSameList<Item>(
  a: readonly Item[],
  b: readonly Item[],
  isSame: (a: Item, b: Item) => boolean,
): boolean {
  return a.length === b.length && a.every((item, index) => isSame(item, b[index] as Item));
}

/** The blocks of a text that grows. Each split goes on from the one before. */
function useBlocks(text: string): Blocks {
  const [blocks, setBlocks] = useState(() => splitBlocks(withoutReturns(text)));
  const normalized = withoutReturns(text);
  if (blocks.text === normalized) return blocks;
  const next = splitBlocks(normalized, blocks);
  setBlocks(next);
  return next;
}

/** Line breaks as Markdown has them, at the same places: citations name places. */
function withoutReturns(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n/g, ' \n').replace(/\r/g, '\n') : text;
}
