import type { PlacedCitation } from 'parlance-client';
import { createContext, use } from 'react';

/** Opens a citation of an answer. */
export const CitationContext = createContext<(citation: PlacedCitation) => void>(() => undefined);

/** The number of a source, where the text cites it. */
export function CitationButton({ citation }: { citation: PlacedCitation }) {
  const open = use(CitationContext);
  const { number, title } = citation;
  return (
    <button
      type="button"
      className="citation"
      aria-label={`Source ${number}: ${title}`}
      title={title}
      onClick={() => {
        open(citation);
      }}
    >
      {number}
    </button>
  );
}
