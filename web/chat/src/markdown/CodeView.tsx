import type { ElementContent } from 'hast';
import { Check, Copy } from 'lucide-react';
import { memo, useEffect, useState, type ReactNode } from 'react';
import { useCopy } from '../lib/useCopy.js';
import { lazy, useLazy } from '../lib/lazy.js';

const highlighter = lazy(() => import('./highlighter.js'));

/** Longer code stays without colors: the main thread must not be blocked. */
const LONGEST_HIGHLIGHTED = 20_000;
/** Lines that are laid out together, so that an appended line does not lay out the whole block again. */
const LINES_PER_CHUNK = 100;

interface CodeViewProps {
  readonly code: string;
  readonly language: string;
  readonly isOpen: boolean;
}

/** A code block with its language and a button that copies it. */
export const CodeView = memo(function CodeView({ code, language, isOpen }: CodeViewProps) {
  const colored = useHighlighted(code, language, !isOpen && code.length <= LONGEST_HIGHLIGHTED);
  return (
    <figure className="code-block" dir="ltr">
      <figcaption>
        <span>{language || 'text'}</span>
        <CopyCode code={code} />
      </figcaption>
      <pre tabIndex={0} aria-label={language ? `Code in ${language}` : 'Code'}>
        <code>{colored ? toReact(colored) : chunksOf(code)}</code>
      </pre>
    </figure>
  );
});

function CopyCode({ code }: { code: string }) {
  const { copy, isCopied } = useCopy();
  const Icon = isCopied ? Check : Copy;
  return (
    <button
      type="button"
      onClick={() => {
        // Fenced code ends with a line break.
        copy(`${code}\n`);
      }}
    >
      <Icon aria-hidden size={14} />
      {isCopied ? 'Copied' : 'Copy code'}
    </button>
  );
}

/** Colors come when the browser has time for them. */
function useHighlighted(
  code: string,
  language: string,
  isWanted: boolean,
): readonly ElementContent[] | undefined {
  const isNeeded = isWanted && language !== '';
  const module = useLazy(highlighter, isNeeded);
  const [result, setResult] = useState<{ code: string; elements?: readonly ElementContent[] | undefined }>();
  useEffect(() => {
    if (!module || !isNeeded) return;
    return whenIdle(() => {
      setResult({ code, elements: module.highlight(code, language) });
    });
  }, [module, isNeeded, code, language]);
  return result?.code === code ? result.elements : undefined;
}

function whenIdle(run: () => void): () => void {
  if (!('requestIdleCallback' in window)) {
    const timer = setTimeout(run, 50);
    return () => {
      clearTimeout(timer);
    };
  }
  const callback = requestIdleCallback(run, { timeout: 1000 });
  return () => {
    cancelIdleCallback(callback);
  };
}

function chunksOf(code: string): ReactNode {
  const lines = code.split('\n');
  if (lines.length <= LINES_PER_CHUNK) return code;
  const chunks: ReactNode[] = [];
  for (let start = 0; start < lines.length; start += LINES_PER_CHUNK) {
    const isLast = start + LINES_PER_CHUNK >= lines.length;
    const text = lines.slice(start, start + LINES_PER_CHUNK).join('\n') + (isLast ? '' : '\n');
    chunks.push(<Chunk key={start} text={text} />);
  }
  return chunks;
}

const Chunk = memo(function Chunk({ text }: { text: string }) {
  return <span className="code-chunk">{text}</span>;
});

function toReact(elements: readonly ElementContent[]): ReactNode {
  return elements.map((element, index) => {
    if (element.type === 'text') return element.value;
    if (element.type === 'comment') return null;
    const names = element.properties.className;
    return (
      <span key={index} className={Array.isArray(names) ? names.join(' ') : undefined}>
        {toReact(element.children)}
      </span>
    );
  });
}
