import { ArrowDown } from 'lucide-react';
import type { ConversationSnapshot, ConversationStore, Message } from 'parlance-client';
import { useEffect, useMemo, useRef, useState, type RefObject } from 'react';
import { Virtualizer } from 'virtua';
import { useWorkspace } from '../app/workspace.js';
import { Answer } from './Answer.js';
import { ConversationContext } from './conversationContext.js';
import { Question } from './Question.js';
import { useStickToEnd } from './useStickToEnd.js';

interface MessageListProps {
  readonly store: ConversationStore;
  readonly snapshot: ConversationSnapshot;
}

/** How near the beginning of what is loaded earlier messages are loaded, in pixels. */
const LOAD_DISTANCE = 1500;

/** The messages, of which only those near the visible part are elements. */
export function MessageList({ store, snapshot }: MessageListProps) {
  const { messages, hasEarlier, isLoadingEarlier } = snapshot;
  const scroller = useRef<HTMLDivElement>(null);
  const isPrepended = useIsPrepended(messages);
  const { isAtEnd, scrollToEnd } = useStickToEnd(scroller, messages);
  useEarlierMessages(store, scroller, snapshot);
  useEndAfterSend(messages, scrollToEnd);
  const context = useMemo(() => ({ store, conversationId: snapshot.id }), [store, snapshot.id]);
  return (
    <ConversationContext value={context}>
      <div className="messages">
        <div
          ref={scroller}
          className="messages-scroller"
          role="region"
          aria-label="Messages"
          aria-busy={isLoadingEarlier || snapshot.phase === 'LOADING'}
          tabIndex={0}
        >
          <Virtualizer scrollRef={scroller} shift={isPrepended} data={messages} bufferSize={600}>
            {(message, index) => (
              <Row
                key={message.key}
                message={message}
                isLast={index === messages.length - 1}
                isFirst={index === 0 && !hasEarlier}
                snapshot={snapshot}
              />
            )}
          </Virtualizer>
        </div>
        {isLoadingEarlier && <div className="loading-earlier">Loading earlier messages…</div>}
        {!isAtEnd && (
          <button
            type="button"
            className="to-end"
            aria-label="Jump to the latest message"
            onClick={scrollToEnd}
          >
            <ArrowDown aria-hidden size={18} />
          </button>
        )}
      </div>
    </ConversationContext>
  );
}

interface RowProps {
  readonly message: Message;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly snapshot: ConversationSnapshot;
}

/** Only the last turn's messages depend on more than themselves. */
function Row({ message, isFirst, isLast, snapshot }: RowProps) {
  const { caller } = useWorkspace();
  const { status, note, canRetry, canContinue, canWrite, messages } = snapshot;
  const className = `row${isFirst ? ' row-first' : ''}${isLast ? ' row-last' : ''}`;
  if (message.role === 'user') {
    const isLastQuestion = messages.findLast(({ role }) => role === 'user') === message;
    const isOwn = !message.sender?.id || message.sender.id === caller?.id;
    const isEditable = isLastQuestion && canWrite && status === 'IDLE' && isOwn;
    return (
      <div className={className}>
        <Question message={message} isOwn={isOwn} isEditable={isEditable} />
      </div>
    );
  }
  return (
    <div className={className}>
      <Answer
        message={message}
        status={isLast ? status : 'IDLE'}
        note={isLast ? note : undefined}
        canRetry={isLast && canRetry}
        canContinue={isLast && canContinue}
      />
    </div>
  );
}

/** Whether the messages differ from those before by some at the beginning. */
function useIsPrepended(messages: readonly Message[]): boolean {
  const [state, setState] = useState({ messages, isPrepended: false });
  if (state.messages === messages) return state.isPrepended;
  const [before, after] = [state.messages, messages];
  const isPrepended = before[0]?.key !== after[0]?.key && before.at(-1)?.key === after.at(-1)?.key;
  setState({ messages, isPrepended });
  return isPrepended;
}

function useEarlierMessages(
  store: ConversationStore,
  scroller: RefObject<HTMLDivElement | null>,
  { hasEarlier, isLoadingEarlier, messages }: ConversationSnapshot,
): void {
  useEffect(() => {
    const element = scroller.current;
    if (!element || !hasEarlier || isLoadingEarlier) return undefined;
    const load = () => {
      // What fails is tried again with the next scroll.
      if (element.scrollTop < LOAD_DISTANCE) store.loadEarlier().catch(() => undefined);
    };
    // The list is at its end only after it has been laid out.
    const frame = requestAnimationFrame(() => requestAnimationFrame(load));
    element.addEventListener('scroll', load, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      element.removeEventListener('scroll', load);
    };
  }, [store, scroller, hasEarlier, isLoadingEarlier, messages.length]);
}

/** A message that this page sends is shown, wherever the reader is. */
function useEndAfterSend(messages: readonly Message[], scrollToEnd: () => void): void {
  const last = messages.at(-1);
  const sendingKey = last?.role === 'user' && last.delivery === 'SENDING' ? last.key : undefined;
  useEffect(() => {
    if (sendingKey !== undefined) scrollToEnd();
  }, [sendingKey, scrollToEnd]);
}
