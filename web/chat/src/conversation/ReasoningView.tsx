import { Brain, ChevronRight } from 'lucide-react';
import type { ReasoningPart } from 'parlance-client';
import { memo, useEffect, useId, useState } from 'react';
import { thoughtOf } from '../lib/words.js';

/** What the model thought, folded: its words are not announced, and are there for those who ask. */
export const ReasoningView = memo(function ReasoningView({ part }: { part: ReasoningPart }) {
  const [isOpen, setOpen] = useState(false);
  const textId = useId();
  const seconds = useSecondsOf(part.isStreaming);
  return (
    <div className={part.isStreaming ? 'reasoning moving' : 'reasoning'} data-testid="reasoning">
      <button
        type="button"
        className="reasoning-toggle"
        aria-expanded={isOpen}
        aria-controls={textId}
        onClick={() => {
          setOpen(!isOpen);
        }}
      >
        <Brain aria-hidden size={15} />
        {thoughtOf(part, seconds)}
        <ChevronRight aria-hidden size={15} className="reasoning-mark" />
      </button>
      <div id={textId} className="reasoning-text" dir="auto" hidden={!isOpen}>
        {isOpen && (part.text || 'The model does not show its reasoning.')}
      </div>
    </div>
  );
});

/** For how many seconds this page has seen something run. */
function useSecondsOf(isRunning: boolean): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (!isRunning) return undefined;
    const startedAt = Date.now();
    const timer = setInterval(() => {
      setSeconds(Math.round((Date.now() - startedAt) / 1000));
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, [isRunning]);
  return seconds;
}
