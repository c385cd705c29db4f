import { Check, CircleAlert, Copy, FastForward, RotateCw } from 'lucide-react';
import type {
  AssistantMessage,
  ConversationSnapshot,
  ConversationStatus,
  Part,
  PlacedCitation,
} from 'parlance-client';
import { memo, useCallback, useState } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { useCopy } from '../lib/useCopy.js';
import { endOf, guardrailOf, progressOf } from '../lib/words.js';
import { CitationContext } from './CitationButton.js';
import { CitationDialog } from './CitationDialog.js';
import { useConversation } from './conversationContext.js';
import { ReasoningView } from './ReasoningView.js';
import { SourceList } from './SourceList.js';
import { TextPartView } from './TextPartView.js';
import { ToolCard } from './ToolCard.js';
import { UsageView } from './UsageView.js';

interface AnswerProps {
  readonly message: AssistantMessage;
  /** The state of the conversation, for the last answer; IDLE for the others. */
  readonly status: ConversationStatus;
  readonly note: ConversationSnapshot['note'];
  readonly canRetry: boolean;
  readonly canContinue: boolean;
}

/** An answer: its texts and calls, how far it is, and what can be done with it. */
export const Answer = memo(function Answer({ message, status, note, canRetry, canContinue }: AnswerProps) {
  const [opened, setOpened] = useState<PlacedCitation>();
  const open = useCallback((citation: PlacedCitation) => {
    setOpened(citation);
  }, []);
  const agent = message.sender?.name ?? message.sender?.id;
  const progress = progressOf(message, status, note);
  return (
    <article
      className="answer"
      aria-label={agent ? `Answer from ${agent}` : 'Answer'}
      aria-busy={message.status === 'STREAMING'}
    >
      <CitationContext value={open}>
        {message.parts.map((part) => (
          <PartView key={part.key} part={part} />
        ))}
        {progress !== undefined && <Progress text={progress} isMoving={message.status === 'STREAMING'} />}
        <SourceList parts={message.parts} />
      </CitationContext>
      {message.failure && (
        <div className="problem">
          <p role="alert">
            <CircleAlert aria-hidden size={16} />
            {message.failure.message}
          </p>
        </div>
      )}
      <AnswerEnd message={message} canRetry={canRetry} canContinue={canContinue} />
      {opened && (
        <CitationDialog
          citation={opened}
          onClose={() => {
            setOpened(undefined);
          }}
        />
      )}
    </article>
  );
});

function PartView({ part }: { part: Part }) {
  switch (part.type) {
    case 'text':
      return <TextPartView part={part} />;
    case 'reasoning':
      return <ReasoningView part={part} />;
    case 'tool':
      return <ToolCard part={part} />;
    default:
      // A kind that this page does not know.
      return null;
  }
}

function Progress({ text, isMoving }: { text: string; isMoving: boolean }) {
  return (
    <div className={isMoving ? 'progress moving' : 'progress'}>
      <span aria-hidden className="progress-mark" />
      {text}
    </div>
  );
}

type AnswerEndProps = Pick<AnswerProps, 'message' | 'canRetry' | 'canContinue'>;

function AnswerEnd({ message, canRetry, canContinue }: AnswerEndProps) {
  const { store } = useConversation();
  const { report } = useWorkspace();
  const otherModel = useOtherModel(message);
  const { status, stopReason, guardrail, usage, failure, parts } = message;
  if (status === 'STREAMING' || status === 'WAITING') return null;
  const end = guardrail ? guardrailOf(guardrail) : endOf(status, stopReason);
  const text = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n');
  const act = (action: () => Promise<void>) => () => {
    action().catch(report);
  };
  return (
    <>
      {end !== undefined && <div className="message-note">{end}</div>}
      {otherModel !== undefined && <div className="message-note">Answered by {otherModel}.</div>}
      <div className="actions">
        {text !== '' && <CopyAnswer text={text} />}
        {canRetry && (
          <button
            type="button"
            className={failure ? 'button' : 'action'}
            title="Answer again"
            onClick={act(() => store.retry())}
          >
            <RotateCw aria-hidden size={15} />
            Retry
          </button>
        )}
        {canContinue && parts.length > 0 && (
          <button
            type="button"
            className="action"
            title="Let the agent go on"
            onClick={act(() => store.continue())}
          >
            <FastForward aria-hidden size={15} />
            Continue
          </button>
        )}
        {usage && <UsageView usage={usage} hasReasoning={parts.some(({ type }) => type === 'reasoning')} />}
      </div>
    </>
  );
}

/** The model that answered, where it is not the agent's: a fallback model, or that of an earlier version. */
function useOtherModel({ modelId, sender }: AssistantMessage): string | undefined {
  const { agents } = useWorkspace();
  const agent = agents.find(({ id }) => id === sender?.id);
  return agent && modelId !== agent.modelId ? modelId : undefined;
}

function CopyAnswer({ text }: { text: string }) {
  const { copy, isCopied } = useCopy();
  const Icon = isCopied ? Check : Copy;
  return (
    <button
      type="button"
      className="action"
      title="Copy the answer"
      onClick={() => {
        copy(text);
      }}
    >
      <Icon aria-hidden size={15} />
      {isCopied ? 'Copied' : 'Copy'}
    </button>
  );
}
