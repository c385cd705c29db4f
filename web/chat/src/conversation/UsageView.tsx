import type { Usage } from 'parlance-client';
import { useId, useState } from 'react';
import { usageOf } from '../lib/words.js';

/** The tokens of an answer, and on demand what they were. */
export function UsageView({ usage, hasReasoning }: { usage: Usage; hasReasoning: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const detailsId = useId();
  const { short, long } = usageOf(usage, hasReasoning);
  return (
    <>
      <button
        type="button"
        className="usage"
        title={long}
        aria-expanded={isOpen}
        aria-controls={detailsId}
        onClick={() => {
          setOpen(!isOpen);
        }}
      >
        {short}
      </button>
      <div id={detailsId} className="usage-details" hidden={!isOpen}>
        {long}
      </div>
    </>
  );
}
