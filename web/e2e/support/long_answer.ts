const WORDS_PER_BLOCK = 80;

/** An answer of numbered words, `w1 w2 …`, in blocks of all kinds. */
export function longAnswer(words: number): string {
  const blocks: string[] = [];
  for (let start = 1; start <= words; start += WORDS_PER_BLOCK) {
    const count = Math.min(WORDS_PER_BLOCK, words - start + 1);
    const numbered = Array.from({ length: count }, (_, index) => `w${start + index}`);
    blocks.push(block(numbered, blocks.length));
  }
  return blocks.join('\n\n');
}

function block(words: string[], index: number): string {
  switch (index % 10) {
    case 2:
      return `## ${words.join(' ')}`;
    case 4:
      return inRows(words, 8)
        .map((row) => `- ${row.join(' ')}`)
        .join('\n');
    case 6:
      return `\`\`\`js\n${inRows(words, 8)
        .map((row) => row.join(' '))
        .join('\n')}\n\`\`\``;
    case 8:
      return [
        '| a | b | c | d |',
        '|---|---|---|---|',
        ...inRows(words, 4).map((row) => `| ${row.join(' | ')} |`),
      ].join('\n');
    default:
      return words.map((word, at) => (at % 17 === 5 ? `**${word}**` : word)).join(' ');
  }
}

function inRows(words: string[], length: number): string[][] {
  const rows: string[][] = [];
  for (let start = 0; start < words.length; start += length) rows.push(words.slice(start, start + length));
  return rows;
}

/** The numbers of the words of a text, in order. */
export function wordNumbers(text: string): number[] {
  return (text.match(/w\d+/g) ?? []).map((word) => Number(word.slice(1)));
}

/** A text in parts of about the same length. */
export function inParts(text: string, count: number): string[] {
  const length = Math.ceil(text.length / count);
  return Array.from({ length: count }, (_, index) => text.slice(index * length, (index + 1) * length));
}
