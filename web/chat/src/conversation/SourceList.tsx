import type { Part, PlacedCitation } from 'parlance-client';
import { use } from 'react';
import { CitationContext } from './CitationButton.js';

/** The sources of an answer, each once. */
export function SourceList({ parts }: { parts: readonly Part[] }) {
  const open = use(CitationContext);
  const sources = sourcesOf(parts);
  if (sources.length === 0) return null;
  return (
    <ul className="sources" aria-label="Sources">
      {sources.map((citation) => (
        <li key={`${citation.number} ${citation.title}`}>
          <button
            type="button"
            className="source"
            aria-label={`Source ${citation.number}: ${citation.title}`}
            onClick={() => {
              open(citation);
            }}
          >
            <span className="source-number">{citation.number}</span>
            <bdi>{citation.title}</bdi>
            {typeof citation.page === 'number' && <span className="source-page">page {citation.page}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** In order of their numbers. Numbers may begin anew in a later step of an answer, with other titles. */
function sourcesOf(parts: readonly Part[]): PlacedCitation[] {
  const sources = new Map<string, PlacedCitation>();
  for (const part of parts) {
    if (part.type !== 'text') continue;
    for (const citation of part.citations) {
      const key = `${citation.number} ${citation.title}`;
      if (!sources.has(key)) sources.set(key, citation);
    }
  }
  return [...sources.values()].sort((a, b) => a.number - b.number);
}
