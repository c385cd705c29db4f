/** Markdown to tokens: CommonMark and GFM as marked has them, with math. Nothing here makes HTML. */
import { Lexer, Marked, type Token, type TokenizerExtension, type Tokens } from 'marked';

/** Math in TeX. */
export interface MathToken {
  type: 'blockMath' | 'inlineMath';
  raw: string;
  tex: string;
  isDisplay: boolean;
  /** False where its end has not arrived, or is missing. */
  isComplete: boolean;
}

/** The targets of reference links, by their labels. */
export type LinkDefinitions = Readonly<Record<string, Pick<Tokens.Link, 'href' | 'title'>>>;

/** A formula may begin in the middle of a paragraph. */
const MATH_LINE = /\n {0,3}(?:\$\$|\\\[)/;

/** A formula in one line: $$ … $$ or \[ … \]. */
const ONE_LINE = /^ {0,3}(?:\$\$(?<dollars>[^$\n]+)\$\$|\\\[(?<brackets>[^\n]+?)\\\])[ \t]*(?:\n+|$)/;
/** A line with $$ or \[, then lines up to the one that ends with $$ or \], or up to a blank line. */
const LINES_OF_DOLLARS =
  /^ {0,3}\$\$[ \t]*\n(?<tex>(?:(?![ \t]*\n)(?![^\n]*\$\$)[^\n]+(?:\n|$))*)(?<end>[^\n$]*\$\$[ \t]*(?:\n+|$))?/;
const LINES_OF_BRACKETS =
  /^ {0,3}\\\[[ \t]*\n(?<tex>(?:(?![ \t]*\n)(?![^\n]*\\\])[^\n]+(?:\n|$))*)(?<end>(?:(?!\\\])[^\n])*\\\][ \t]*(?:\n+|$))?/;

/**
 * $…$ with no space inside its ends and no digit after it, so that amounts of money are no math; $$…$$, \(…\)
 * and \[…\] within a line.
 */
const INLINE_MATH =
  /^(?:\$\$(?<display>[^$]+)\$\$|\\\[(?<brackets>[^]+?)\\\]|\\\((?<parentheses>[^]+?)\\\)|\$(?![\s$])(?<dollar>(?:\\[^\n]|[^\\$\n])*?(?:\\[^\n]|[^\\$\s]))\$(?!\d))/;

const blockMath: TokenizerExtension = {
  name: 'blockMath',
  level: 'block',
  start: (source) => indexOf(MATH_LINE, source),
  tokenizer(source) {
    const line = ONE_LINE.exec(source);
    if (line) return mathOf(line[0], line.groups?.['dollars'] ?? line.groups?.['brackets'] ?? '', true);
    const lines = LINES_OF_DOLLARS.exec(source) ?? LINES_OF_BRACKETS.exec(source);
    if (!lines) return undefined;
    const { tex = '', end } = lines.groups ?? {};
    const lastLine = (end ?? '').replace(/(?:\$\$|\\\])\s*$/, '');
    return mathOf(lines[0], tex + lastLine, end !== undefined);
  },
};

const inlineMath: TokenizerExtension = {
  name: 'inlineMath',
  level: 'inline',
  start: (source) => indexOf(/\$|\\[([]/, source),
  tokenizer(source) {
    const groups = INLINE_MATH.exec(source);
    if (!groups) return undefined;
    const { display, brackets, parentheses, dollar } = groups.groups ?? {};
    const tex = display ?? brackets ?? parentheses ?? dollar ?? '';
    const isDisplay = (display ?? brackets) !== undefined;
    return { type: 'inlineMath', raw: groups[0], tex, isDisplay, isComplete: true } satisfies MathToken;
  },
};

/** A label of a link: CommonMark allows 999 characters, and brackets after a backslash. */
const LABEL = /\[((?:\\[^]|[^[\]\\]){1,999})\]/g;

const options = new Marked({
  extensions: [blockMath, inlineMath],
  tokenizer: {
    // A heading that is underlined ends before math, as a paragraph does.
    lheading(source) {
      const match = this.rules.block.lheading.exec(source);
      return match && MATH_LINE.test(match[0]) ? undefined : false;
    },
  },
}).defaults;

/**
 * The blocks of a text, without their inline content. Their `raw` texts, joined, are the text. A text with
 * thousands of nested quotes is too deep: it is one block.
 */
export function lexBlocks(source: string): Token[] {
  try {
    return new Lexer(options).blockTokens(source);
  } catch {
    return [{ type: 'html', raw: source, text: source }];
  }
}

/** The tokens of a text with their inline content. */
export function lex(source: string, definitions: LinkDefinitions): Token[] {
  const lexer = new Lexer(options);
  Object.assign(lexer.tokens.links, usedDefinitions(source, definitions));
  return lexer.lex(source);
}

/** A block copies the definitions that it may use: an answer may have a thousand of each. */
function usedDefinitions(source: string, definitions: LinkDefinitions): LinkDefinitions {
  const used = Object.create(null) as Record<string, LinkDefinitions[string]>;
  for (const [, label = ''] of source.matchAll(LABEL)) {
    const tag = label.toLowerCase().replace(/\s+/g, ' ');
    const target = definitions[tag];
    if (target) used[tag] = target;
  }
  return used;
}

function mathOf(raw: string, tex: string, isComplete: boolean): MathToken {
  return { type: 'blockMath', raw, tex, isDisplay: true, isComplete };
}

function indexOf(pattern: RegExp, source: string): number | undefined {
  const index = source.search(pattern);
  return index < 0 ? undefined : index;
}
