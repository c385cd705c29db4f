import { useMemo } from 'react';
import { lazy, useLazy } from '../lib/lazy.js';

const mathml = lazy(() => import('./mathml.js'));

interface MathViewProps {
  readonly tex: string;
  /** What is shown until the renderer is there, and where the formula is no TeX. */
  readonly source: string;
  readonly isDisplay: boolean;
}

/** A formula. It scrolls where it is wider than the page. */
export function MathView({ tex, source, isDisplay }: MathViewProps) {
  const renderer = useLazy(mathml);
  const formula = useMemo(() => renderer?.renderMath(tex, isDisplay), [renderer, tex, isDisplay]);
  if (!isDisplay) return formula ?? <code>{source}</code>;
  return (
    <div className="math-scroll" role="region" aria-label="Formula" tabIndex={0}>
      {formula ?? <code>{source}</code>}
    </div>
  );
}
