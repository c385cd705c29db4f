/**
 * Marks the places of citations in a text before it is read as Markdown. A mark is a number in brackets that
 * hardly any text has; it counts as punctuation, so that emphasis beside it stays emphasis.
 */

export interface CitationPlace {
  /** Where the text that cites begins and ends, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
}

const MARK = /⸨(\d+)⸩/;
/** What models write that do not cite by themselves: [2] or [1, 3]. */
const MARKER = /^\[\d+(?:\s*,\s*\d+)*\]$/;

/** The text with a mark for each place, by its index. A marker such as [2] is replaced by its mark. */
export function insertMarks(source: string, places: readonly CitationPlace[]): string {
  const edits = places.map((place, index) => ({ ...editOf(source, place), mark: `⸨${index}⸩` }));
  edits.sort((a, b) => a.from - b.from);
  let result = '';
  let position = 0;
  for (const { from, to, mark } of edits) {
    result += source.slice(position, Math.max(position, from)) + mark;
    position = Math.max(position, to);
  }
  return result + source.slice(position);
}

/** The parts of a text: strings, and the indices of marks. */
export function splitMarks(text: string): (string | number)[] {
  const parts = text.split(MARK).map((part, index) => (index % 2 === 1 ? Number(part) : part));
  return parts.filter((part) => part !== '');
}

/** A text without marks, and the indices of those that it had: for code, links and math. */
export function takeMarks(text: string): { text: string; marks: number[] } {
  const parts = splitMarks(text);
  return {
    text: parts.filter((part) => typeof part === 'string').join(''),
    marks: parts.filter((part) => typeof part === 'number'),
  };
}

/** Where a mark goes: in place of a marker; otherwise behind the last word, within a cell of a table. */
function editOf(source: string, { start, end }: CitationPlace): { from: number; to: number } {
  if (MARKER.test(source.slice(start, end))) return { from: start, to: end };
  let mark = Math.min(end, source.length);
  while (mark > start && /[\s|]/.test(source.charAt(mark - 1))) mark -= 1;
  return { from: mark, to: mark };
}
