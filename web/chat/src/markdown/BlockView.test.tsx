import { readFileSync } from 'node:fs';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { BlockView } from './BlockView.js';
import { splitBlocks } from './blocks.js';
import type { CitationPlace } from './citationMarks.js';

interface Payload {
  readonly name: string;
  readonly text: string | (string | [string, number])[];
}

const file = new URL('../../../e2e/hostile.json', import.meta.url);
const payloads = JSON.parse(readFileSync(file, 'utf8')) as Payload[];

const ELEMENTS =
  /^(p|div|span|strong|em|del|br|hr|a|button|code|pre|figure|figcaption|blockquote|ul|ol|li|input|table|thead|tbody|tr|th|td|h[2-6]|svg|path|rect|circle)$/;

function textOf({ text }: Payload): string {
  if (typeof text === 'string') return text;
  return text.map((part) => (typeof part === 'string' ? part : part[0].repeat(part[1]))).join('');
}

function render(text: string, citations: readonly CitationPlace[] = []): string {
  const { blocks, definitions } = splitBlocks(text);
  const views = blocks.map((block, key) => {
    const own = citations.filter(({ end }) => end > block.from && end <= block.to);
    const renderCitation = (citation: CitationPlace) => createElement('sup', {}, citations.indexOf(citation));
    return createElement(BlockView<CitationPlace>, {
      key,
      block,
      definitions,
      citations: own,
      renderCitation,
    });
  });
  return renderToStaticMarkup(createElement('div', {}, views));
}

test.each(payloads)('hostile text is text: $name', (payload) => {
  for (const [, name = '', attributes = ''] of render(textOf(payload)).matchAll(/<([\w-]+)([^>]*)>/g)) {
    expect(name).toMatch(ELEMENTS);
    expect(attributes.replace(/"[^"]*"/g, '""')).not.toMatch(
      /\s(on\w+|style|srcdoc|src|action|formaction|id|name)=/i,
    );
    const href = /\shref="([^"]*)"/.exec(attributes)?.[1];
    if (href !== undefined) expect(href).toMatch(/^(https?:\/\/|mailto:)/);
  }
});

describe('Markdown', () => {
  test.each([
    ['**a** *b* ~~c~~', '<p dir="auto"><strong>a</strong> <em>b</em> <del>c</del></p>'],
    ['a &amp; b &copy; &#x41; &bogus;', '<p dir="auto">a &amp; b © A &amp;bogus;</p>'],
    ['costs $5 to $10', '<p dir="auto">costs $5 to $10</p>'],
    ['is $x^2$ and \\(y\\)', '<p dir="auto">is <code>$x^2$</code> and <code>\\(y\\)</code></p>'],
    ['[a](/b) [c](javascript:x)', '<p dir="auto">a c</p>'],
    ['# A', '<h2 dir="auto" class="heading-1">A</h2>'],
    ['7. a\n8. b', '<ol dir="auto" start="7"><li>a</li><li>b</li></ol>'],
    ['a<br>b<u>c</u>', '<p dir="auto">a<br/>b&lt;u&gt;c&lt;/u&gt;</p>'],
  ])('%j', (text, html) => {
    expect(render(text)).toBe(`<div>${html}</div>`);
  });

  test('links leave the page without a way back to it', () => {
    expect(render('[a](https://example.com/?q=1&r=2 "t")')).toContain(
      '<a href="https://example.com/?q=1&amp;r=2" title="t" target="_blank" rel="noopener noreferrer">a</a>',
    );
  });

  test.each(['a', 'A\n b', 'a\\]b', '`a`'])(
    'a reference is a link where another block defines its label: [%s]',
    (label) => {
      const text = `See [${label}] and [x][${label}].\n\n[${label}]: https://example.com/`;
      expect(render(text).match(/href="https:\/\/example.com\/"/g)).toHaveLength(2);
    },
  );
});

describe('citations', () => {
  test.each([
    ['The W2 lasts 10 hours.', [[0, 22]], '<p dir="auto">The W2 lasts 10 hours.<sup>0</sup></p>'],
    [
      'It does [2]. Or not [1, 3].',
      [
        [8, 11],
        [20, 26],
        [20, 26],
      ],
      '<p dir="auto">It does <sup>0</sup>. Or not <sup>1</sup><sup>2</sup>.</p>',
    ],
    [
      '**Bold.**\n\nNext',
      [[0, 9]],
      '<p dir="auto"><strong>Bold.</strong><sup>0</sup></p><p dir="auto">Next</p>',
    ],
    ['Code `a b`', [[5, 8]], '<p dir="auto">Code <code>a b</code><sup>0</sup></p>'],
    [
      '- a\n- b\n',
      [
        [0, 3],
        [4, 7],
      ],
      '<ul dir="auto"><li>a<sup>0</sup></li><li>b<sup>1</sup></li></ul>',
    ],
  ])('are at their places: %j', (text, places, html) => {
    const citations = places.map(([start = 0, end = 0]) => ({ start, end }));
    expect(render(text, citations)).toBe(`<div>${html}</div>`);
  });

  test('are in the cell of a table that they are of', () => {
    const text = '| a | b |\n|---|---|\n| one | two |\n';
    expect(render(text, [{ start: 20, end: 33 }])).toContain('two<sup>0</sup></td>');
  });
});
