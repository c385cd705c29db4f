/** A block of an answer. The text of a model becomes elements of this file and of no others, and never HTML. */
import type { Token, Tokens } from 'marked';
import { Fragment, memo, useMemo, type ReactNode } from 'react';
import type { Block, MarkdownBlock } from './blocks.js';
import { insertMarks, splitMarks, takeMarks, type CitationPlace } from './citationMarks.js';
import { CodeView } from './CodeView.js';
import { decodeEntities } from './entities.js';
import { ImageButton } from './ImageButton.js';
import { lex, type LinkDefinitions, type MathToken } from './lexer.js';
import { safeHref } from './links.js';
import { MathView } from './MathView.js';

export interface BlockViewProps<Citation extends CitationPlace> {
  readonly block: Block;
  readonly definitions: LinkDefinitions;
  /** Those whose text ends in the block. Their places are in the text that the block is of. */
  readonly citations: readonly Citation[];
  /** The button of a citation. */
  readonly renderCitation: (citation: Citation) => ReactNode;
}

export const BlockView = memo(function BlockView<Citation extends CitationPlace>(
  props: BlockViewProps<Citation>,
) {
  const { block, citations, renderCitation } = props;
  const buttons = citations.map((citation, index) => (
    <Fragment key={index}>{renderCitation(citation)}</Fragment>
  ));
  switch (block.kind) {
    case 'code':
      return (
        <>
          <CodeView code={block.code} language={block.language} isOpen={block.isOpen} />
          {buttons.length > 0 && <p>{buttons}</p>}
        </>
      );
    case 'plain':
      return (
        <p dir="auto" className="plain-text">
          {block.source}
          {buttons}
        </p>
      );
    case 'markdown':
      return <MarkdownView {...props} block={block} />;
  }
}) as <Citation extends CitationPlace>(props: BlockViewProps<Citation>) => ReactNode;

function MarkdownView<Citation extends CitationPlace>({
  block,
  definitions,
  citations,
  renderCitation,
}: BlockViewProps<Citation> & { block: MarkdownBlock }) {
  const content = useMemo(() => {
    const places = citations.map(({ start, end }) => ({
      start: Math.max(start, block.from) - block.from + block.prefixLength,
      end: end - block.from + block.prefixLength,
    }));
    const tokens = lexOrPlain(insertMarks(block.source, places), definitions);
    const renderMark = (index: number) => {
      const citation = citations[index];
      return citation && renderCitation(citation);
    };
    return new TokenRenderer(renderMark, block.listStart).render(tokens, 0);
  }, [block, definitions, citations, renderCitation]);
  return block.continues ? <div className="continued">{content}</div> : content;
}

/** Deeper quotes, lists and emphasis are shown as they were written. */
const DEEPEST = 24;

/** A text with thousands of nested quotes is too deep for the lexer. */
function lexOrPlain(source: string, definitions: LinkDefinitions): Token[] {
  try {
    return lex(source, definitions);
  } catch {
    return [{ type: 'text', raw: source, text: source }];
  }
}

class TokenRenderer {
  readonly #renderMark: (index: number) => ReactNode;
  readonly #listStart: number | undefined;

  constructor(renderMark: (index: number) => ReactNode, listStart: number | undefined) {
    this.#renderMark = renderMark;
    this.#listStart = listStart;
  }

  render(tokens: readonly Token[], depth: number): ReactNode {
    if (depth > DEEPEST) return this.#text(tokens.map(({ raw }) => raw).join(''));
    return tokens.map((token, index) => <Fragment key={index}>{this.#token(token, depth)}</Fragment>);
  }

  /** Kinds that are not known are shown as they were written. */
  #token(token: Token, depth: number): ReactNode {
    switch (token.type) {
      case 'space':
      case 'def':
        return null;
      case 'heading':
        return this.#heading(token as Tokens.Heading, depth);
      case 'paragraph':
        return <p dir="auto">{this.#inline(token as Tokens.Paragraph, depth)}</p>;
      case 'blockquote':
        return <blockquote dir="auto">{this.#inline(token as Tokens.Blockquote, depth)}</blockquote>;
      case 'list':
        return this.#list(token as Tokens.List, depth);
      case 'code':
        return this.#code(token as Tokens.Code);
      case 'table':
        return this.#table(token as Tokens.Table, depth);
      case 'hr':
        return <hr />;
      case 'blockMath':
      case 'inlineMath':
        return this.#math(token as unknown as MathToken);
      default:
        return this.#inlineToken(token, depth);
    }
  }

  #inlineToken(token: Token, depth: number): ReactNode {
    switch (token.type) {
      case 'strong':
        return <strong>{this.#inline(token as Tokens.Strong, depth)}</strong>;
      case 'em':
        return <em>{this.#inline(token as Tokens.Em, depth)}</em>;
      case 'del':
        return <del>{this.#inline(token as Tokens.Del, depth)}</del>;
      case 'br':
        return <br />;
      case 'codespan':
        return this.#withMarks((token as Tokens.Codespan).text, (text) => <code>{text}</code>);
      case 'link':
        return this.#link(token as Tokens.Link, depth);
      case 'image':
        return this.#image(token as Tokens.Image);
      case 'html':
        return /^<br\s*\/?>$/i.test(token.raw) ? <br /> : this.#text(token.raw);
      case 'checkbox':
        return <Checkbox isChecked={(token as Tokens.Checkbox).checked} />;
      case 'text': {
        const { tokens, text } = token as Tokens.Text;
        return tokens ? this.render(tokens, depth + 1) : this.#text(decodeEntities(text));
      }
      case 'escape':
        return this.#text((token as Tokens.Escape).text);
      default:
        return this.#text(token.raw);
    }
  }

  #inline({ tokens }: { tokens: readonly Token[] }, depth: number): ReactNode {
    return this.render(tokens, depth + 1);
  }

  #text(text: string): ReactNode {
    const parts = splitMarks(text);
    if (parts.length === 1 && typeof parts[0] === 'string') return parts[0];
    return parts.map((part, index) => (
      <Fragment key={index}>{typeof part === 'number' ? this.#renderMark(part) : part}</Fragment>
    ));
  }

  /** Marks within code, links and math are put behind them. */
  #withMarks(source: string, render: (text: string) => ReactNode): ReactNode {
    const { text, marks } = takeMarks(source);
    return (
      <>
        {render(text)}
        {marks.map((mark) => (
          <Fragment key={mark}>{this.#renderMark(mark)}</Fragment>
        ))}
      </>
    );
  }

  #heading(token: Tokens.Heading, depth: number): ReactNode {
    // The title of the conversation has the first level.
    const Heading = `h${Math.min(token.depth + 1, 6)}` as 'h2';
    return (
      <Heading dir="auto" className={`heading-${token.depth}`}>
        {this.#inline(token, depth)}
      </Heading>
    );
  }

  #code({ text: source, lang = '' }: Tokens.Code): ReactNode {
    return this.#withMarks(source, (code) => <CodeView code={code} language={lang} isOpen={false} />);
  }

  #list({ ordered, start, items, loose }: Tokens.List, depth: number): ReactNode {
    const content = items.map((item, index) => (
      <li key={index} className={item.task ? 'task' : undefined}>
        {this.render(item.tokens, depth + 1)}
      </li>
    ));
    const className = loose ? 'loose' : undefined;
    if (!ordered) {
      return (
        <ul dir="auto" className={className}>
          {content}
        </ul>
      );
    }
    return (
      <ol dir="auto" className={className} start={this.#listStart ?? Number(start)}>
        {content}
      </ol>
    );
  }

  #table({ header, rows }: Tokens.Table, depth: number): ReactNode {
    return (
      <div className="table-scroll" role="region" aria-label="Table" tabIndex={0}>
        <table>
          <thead>
            <tr>{header.map((cell, index) => this.#cell(cell, index, 'th', depth))}</tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>{row.map((cell, column) => this.#cell(cell, column, 'td', depth))}</tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }

  #cell({ tokens, align }: Tokens.TableCell, index: number, Cell: 'th' | 'td', depth: number): ReactNode {
    const className = align === null ? undefined : `align-${align}`;
    return (
      <Cell key={index} dir="auto" className={className} {...(Cell === 'th' ? { scope: 'col' } : {})}>
        {this.render(tokens, depth + 1)}
      </Cell>
    );
  }

  #link({ href, title, tokens, text }: Tokens.Link, depth: number): ReactNode {
    const address = safeHref(takeMarks(decodeEntities(href)).text);
    const inner = new TokenRenderer(() => null, undefined).render(tokens, depth + 1);
    return this.#withMarks(text, () =>
      address === undefined ? (
        inner
      ) : (
        <a href={address} title={title ?? undefined} target="_blank" rel="noopener noreferrer">
          {inner}
        </a>
      ),
    );
  }

  #image({ href, text: source }: Tokens.Image): ReactNode {
    return this.#withMarks(source, (text) => (
      <ImageButton address={takeMarks(decodeEntities(href)).text} description={decodeEntities(text)} />
    ));
  }

  #math({ tex: source, raw, isDisplay, isComplete }: MathToken): ReactNode {
    return this.#withMarks(source, (tex) =>
      isComplete ? (
        <MathView tex={tex} source={takeMarks(raw).text} isDisplay={isDisplay} />
      ) : (
        <p className="plain-text">{takeMarks(raw).text}</p>
      ),
    );
  }
}

function Checkbox({ isChecked }: { isChecked: boolean }) {
  const label = isChecked ? 'Done' : 'Not done';
  return <input type="checkbox" checked={isChecked} disabled aria-label={label} className="task-box" />;
}
