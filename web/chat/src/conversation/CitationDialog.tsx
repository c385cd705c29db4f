import { ExternalLink } from 'lucide-react';
import type { CitedDocument, PlacedCitation } from 'parlance-client';
import { useEffect, useState } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { sentenceOf } from '../lib/words.js';
import { safeHref } from '../markdown/links.js';
import { Dialog } from '../ui/Dialog.js';
import { useConversation } from './conversationContext.js';

interface CitationDialogProps {
  readonly citation: PlacedCitation;
  readonly onClose: () => void;
}

/** The passage of a citation, and its document. */
export function CitationDialog({ citation, onClose }: CitationDialogProps) {
  const { title, passage, page, source, number } = citation;
  return (
    <Dialog title={title} onClose={onClose} className="citation-dialog">
      <p className="hint">
        Source {number}
        {typeof page === 'number' && `, page ${page}`}
        {source && (
          <>
            {' · '}
            <code>{source}</code>
          </>
        )}
      </p>
      <blockquote className="passage" dir="auto" tabIndex={0}>
        {passage}
      </blockquote>
      <DocumentLink citation={citation} />
    </Dialog>
  );
}

type Link =
  { state: 'LOADING' } | { state: 'THERE'; document: CitedDocument } | { state: 'FAILED'; error: unknown };

function DocumentLink({ citation }: { citation: PlacedCitation }) {
  const link = useDocument(citation);
  if (!citation.stored && !citation.url) {
    return <p className="hint">The document can be opened when the answer is complete.</p>;
  }
  if (link.state === 'FAILED') return <p role="alert">{sentenceOf(link.error)}</p>;
  const address = link.state === 'THERE' ? link.document.url : citation.url;
  const href = safeHref(address ?? '');
  if (link.state === 'THERE' && href === undefined) {
    return <p className="hint">This deployment has no link to the document.</p>;
  }
  return (
    <div className="dialog-buttons">
      <button
        type="button"
        className="button button-primary"
        disabled={href === undefined}
        onClick={() => {
          window.open(href, '_blank', 'noopener,noreferrer');
        }}
      >
        <ExternalLink aria-hidden size={16} />
        Open document
      </button>
    </div>
  );
}

/** The document with a link. Links expire, so a new one is asked for when the last has. */
function useDocument({ stored }: PlacedCitation): Link {
  const { client } = useWorkspace();
  const { conversationId } = useConversation();
  const [link, setLink] = useState<Link>({ state: 'LOADING' });
  const { eventId, index } = stored ?? {};
  const expiresAt = link.state === 'THERE' ? (link.document.expiresAt ?? undefined) : undefined;
  useEffect(() => {
    if (conversationId === undefined || eventId === undefined || index === undefined) return undefined;
    const ended = new AbortController();
    const load = () => {
      client.getCitation(conversationId, eventId, index, { signal: ended.signal }).then(
        (document) => {
          setLink({ state: 'THERE', document });
        },
        (error: unknown) => {
          if (!ended.signal.aborted) setLink({ state: 'FAILED', error });
        },
      );
    };
    const wait = expiresAt === undefined ? 0 : Math.max(1000, Date.parse(expiresAt) - Date.now() - 10_000);
    const timer = setTimeout(load, wait);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [client, conversationId, eventId, index, expiresAt]);
  return link;
}
