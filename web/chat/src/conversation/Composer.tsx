import { ArrowUp, Square } from 'lucide-react';
import type { ConversationSnapshot, ConversationStore } from 'parlance-client';
import { useEffect, useRef, useState, type KeyboardEvent, type SyntheticEvent } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { useMedia } from '../lib/useMedia.js';
import { isTooLong } from '../lib/words.js';
import { useDraft } from './useDraft.js';

interface ComposerProps {
  readonly store: ConversationStore;
  readonly snapshot: ConversationSnapshot;
}

export function Composer({ store, snapshot }: ComposerProps) {
  if (!snapshot.canWrite) {
    return <p className="composer-note">You can only read this conversation.</p>;
  }
  return <ComposerForm store={store} snapshot={snapshot} />;
}

function ComposerForm({ store, snapshot }: ComposerProps) {
  const { status, id = 'new' } = snapshot;
  const [text, setText] = useDraft(id);
  const [failure, setFailure] = useState<string>();
  const field = useAutoFocus();
  const isActive = status !== 'IDLE' && status !== 'SENDING';
  const canSend = text.trim() !== '' && (status === 'IDLE' || status === 'WAITING' || status === 'SENDING');
  const submit = (event?: SyntheticEvent) => {
    event?.preventDefault();
    if (!canSend) return;
    if (isTooLong(text)) {
      setFailure('This message is too long: at most 100 KB can be sent.');
      return;
    }
    setFailure(undefined);
    setText('');
    // The message itself shows a failure.
    store.send(text).catch(() => undefined);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) submit(event);
  };
  return (
    <form className="composer" onSubmit={submit}>
      {failure !== undefined && (
        <p className="composer-failure" role="alert">
          {failure}
        </p>
      )}
      <div className="composer-box">
        <textarea
          ref={field}
          name="message"
          aria-label="Message"
          placeholder="Write a message…"
          dir="auto"
          rows={1}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
          }}
          onKeyDown={onKeyDown}
        />
        {isActive ? (
          <StopButton store={store} isStopping={status === 'CANCELLING'} />
        ) : (
          <SendButton canSend={canSend} />
        )}
      </div>
    </form>
  );
}

function SendButton({ canSend }: { canSend: boolean }) {
  return (
    <button type="submit" className="send" aria-label="Send" disabled={!canSend}>
      <ArrowUp aria-hidden size={20} />
    </button>
  );
}

function StopButton({ store, isStopping }: { store: ConversationStore; isStopping: boolean }) {
  const { report } = useWorkspace();
  return (
    <button
      type="button"
      className="send stop"
      aria-label="Stop"
      disabled={isStopping}
      onClick={() => {
        store.cancel().catch(report);
      }}
    >
      <Square aria-hidden size={14} fill="currentColor" />
    </button>
  );
}

/** A conversation that is opened takes a message at once. On a phone the keyboard would hide it. */
function useAutoFocus() {
  const field = useRef<HTMLTextAreaElement>(null);
  const hasKeyboard = useMedia('(hover: hover)');
  useEffect(() => {
    if (hasKeyboard && (document.activeElement === document.body || document.activeElement === null)) {
      field.current?.focus();
    }
  }, [hasKeyboard]);
  return field;
}
