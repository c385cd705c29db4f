import type { Token } from 'marked';
import { describe, expect, test } from 'vitest';
import { splitBlocks, type Block, type Blocks } from './blocks.js';
import { lexBlocks } from './lexer.js';

const NEVER = Number.MAX_SAFE_INTEGER;

function stream(text: string, sizes: (index: number) => number, longest = NEVER): Blocks {
  let blocks: Blocks | undefined;
  for (let end = 0, index = 0; end < text.length; index += 1) {
    end = Math.min(text.length, end + sizes(index));
    blocks = splitBlocks(text.slice(0, end), blocks, longest);
  }
  return blocks ?? splitBlocks('');
}

/** The blocks of a text as the whole text gives them. */
function wholeDocument(text: string): string[] {
  return lexBlocks(text).flatMap((token) => (isShown(token) ? [token.raw.trimEnd()] : []));
}

function isShown(token: Token): boolean {
  return token.type !== 'space' && token.type !== 'def';
}

function sources(text: string, blocks: readonly Block[]): string[] {
  return blocks.map(({ from, to }) => text.slice(from, to).trimEnd());
}

describe('a text that arrives in pieces', () => {
  const documents = [
    '# A\n\nOne *two*\nthree\n\n- a\n- b\n\n  c\n\n1. x\n2. y\n\nend',
    '```js\nlet a;\n\nlet b;\n```\nafter\n\n    indented\n\n    more\n\nlast',
    '- ```\n  code\n\n  code\n- b\n\n```\nopen\n\n- no list',
    '| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\nlazy\n\n> - a\n>\n> b\n\n---\n\ntext\n===\n',
    '<div>\n```\n\nx\n\n<!-- a\n\nb -->\n\n[a]: http://x.example\n\n[a] and [b]\n\n[b]: /y "t"',
    '$$\na = b\n$$\n\nand \\[\nx\n\\]\n\n$$ not math\n\n- a\n\n-\n\n* b\n+ c\n10) d\n',
    'a\n\n\n\n\nb\n  \nc\n\t\nd\n- x\n-\ty\n\n\n- z\n# H\ntext\n~~~\na\n~~~~\nb',
  ];

  test.each(documents)('has the blocks of the whole text: %j', (text) => {
    for (const size of [1, 2, 3, 7, 50]) {
      expect(sources(text, stream(text, () => size).blocks)).toEqual(wholeDocument(text));
    }
  });

  test('has the blocks of the whole text, for 3,000 random texts in random pieces', () => {
    const random = generator(7);
    for (let run = 0; run < 3000; run += 1) {
      const text = randomText(random);
      const blocks = stream(text, () => 1 + Math.floor(random() * 12)).blocks;
      expect(sources(text, blocks), JSON.stringify(text)).toEqual(wholeDocument(text));
    }
  }, 60_000);

  test('keeps the identity of blocks that have not changed', () => {
    const before = splitBlocks('one\n\ntwo\n\nthree');
    const after = splitBlocks('one\n\ntwo\n\nthree and more', before);
    expect(after.blocks[0]).toBe(before.blocks[0]);
    expect(after.blocks[1]).toBe(before.blocks[1]);
    expect(after.blocks[2]).not.toBe(before.blocks[2]);
    expect(splitBlocks('one\n\ntwo\n\nthree and more', after)).toBe(after);
  });

  test('reads only its end again', () => {
    const text = 'A paragraph.\n\n'.repeat(2000);
    const before = splitBlocks(text);
    expect(before.resume.position).toBeGreaterThan(text.length - 50);
  });

  test('begins anew when the text was replaced', () => {
    const before = splitBlocks('one\n\ntwo');
    expect(sources('other', splitBlocks('other', before).blocks)).toEqual(['other']);
  });
});

describe('long blocks', () => {
  test('a list is cut between items and keeps its numbers', () => {
    const text = '1. item\n'.repeat(30);
    const { blocks } = stream(text, () => 5, 40);
    expect(blocks.length).toBeGreaterThan(3);
    expect(blocks.map(({ from, to }) => text.slice(from, to)).join('')).toBe(text.trimEnd());
    const starts = blocks.map((block) => (block.kind === 'markdown' ? block.listStart : undefined));
    const counts = blocks.map(({ from, to }) => text.slice(from, to).match(/item/g)?.length ?? 0);
    counts.reduce((next, count, index) => {
      expect(starts[index]).toBe(next);
      return next + count;
    }, 1);
  });

  test('a table is cut between rows, and its header is repeated', () => {
    const header = '| a | b |\n|---|---|\n';
    const text = header + '| 1 | 2 |\n'.repeat(40);
    const { blocks } = stream(text, () => 7, 100);
    expect(blocks.length).toBeGreaterThan(3);
    expect(blocks.map(({ from, to }) => text.slice(from, to)).join('')).toBe(text);
    for (const block of blocks) expect(block).toMatchObject({ kind: 'markdown' });
    for (const block of blocks) {
      if (block.kind === 'markdown') expect(block.source).toMatch(/^\| a \| b \|\n/);
    }
  });

  test('a paragraph is cut before words', () => {
    const text = 'words of a text without an end '.repeat(100).trim();
    const { blocks } = stream(text, () => 11, 50);
    expect(blocks.length).toBeGreaterThan(10);
    expect(blocks.map(({ from, to }) => text.slice(from, to)).join('')).toBe(text);
    for (const { from } of blocks) expect(text.slice(from, from + 1)).toMatch(/\w/);
  });

  test('a text without spaces is cut, too', () => {
    const text = 'a'.repeat(1000);
    const { blocks } = splitBlocks(text, undefined, 25);
    expect(blocks).toHaveLength(10);
  });

  test('a code block is not cut', () => {
    const text = '```ts\n' + 'let a = 1;\n'.repeat(1000);
    const { blocks } = stream(text, () => 300, 100);
    expect(blocks).toMatchObject([{ kind: 'code', language: 'ts', isOpen: true }]);
    expect(splitBlocks(`${text}\`\`\`\n`).blocks).toMatchObject([{ kind: 'code', isOpen: false }]);
  });
});

test.each([
  ['```\na', true],
  ['```\na\n```', false],
  ['````\na\n```', true],
  ['````\na\n`````\n', false],
  ['~~~\na\n```', true],
  ['```\n```', false],
  ['```js', true],
])('the code block %j is open: %s', (text, isOpen) => {
  expect(splitBlocks(text).blocks[0]).toMatchObject({ kind: 'code', isOpen });
});

test('labels of reference links may be any word', () => {
  const { definitions } = splitBlocks('[constructor]: /a\n\n[__proto__]: /b\n');
  expect(Object.keys(definitions)).toEqual(['constructor', '__proto__']);
});

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const PIECES = [
  ...[
    '- ',
    '-',
    '* ',
    '1. ',
    '2) ',
    '> ',
    '>',
    '# ',
    '## x',
    '```',
    '```js',
    '~~~',
    '````',
    '$$',
    '\\[',
    '\\]',
  ],
  ...[
    '| a | b |',
    '|---|---|',
    '| 1 |',
    '---',
    '===',
    '***',
    '<div>',
    '</div>',
    '<!--',
    '-->',
    '<pre>',
    '<b>',
  ],
  ...[
    '    ',
    '  ',
    '\t',
    ' ',
    'text',
    'a *b* c',
    '[x]',
    '[x]: /y',
    '**',
    '`',
    '$x$',
    '[ ] task',
    '\\',
    '&amp;',
  ],
];

function randomText(random: () => number): string {
  const length = 2 + Math.floor(random() * 24);
  let text = '';
  for (let index = 0; index < length; index += 1) {
    text += PIECES[Math.floor(random() * PIECES.length)] ?? '';
    if (random() < 0.55) text += random() < 0.4 ? '\n\n' : '\n';
  }
  return text;
}
