import { ArrowUp, Square } from 'lucide-react';
import { useState, type KeyboardEvent, type SyntheticEvent } from 'react';
import { isTooLong } from '../../../chat/src/lib/words.js';
import type { EntrySession, SessionSnapshot } from './session.js';

interface EntryComposerProps {
  readonly session: EntrySession;
  readonly snapshot: SessionSnapshot;
}

export function EntryComposer({ session, snapshot }: EntryComposerProps) {
  const [text, setText] = useState('');
  const [failure, setFailure] = useState<string>();
  const open = openTurn(snapshot);
  const canSend = snapshot.canSend && text.trim() !== '';
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (!canSend) return;
    if (isTooLong(text)) {
      setFailure('This message is too long: at most 100 KB can be sent.');
      return;
    }
    setFailure(undefined);
    setText('');
    session.send(text);
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
          aria-label="Message"
          placeholder="Write a message…"
          dir="auto"
          rows={1}
          autoFocus
          value={text}
          onChange={(event) => {
            setText(event.target.value);
          }}
          onKeyDown={onKeyDown}
        />
        {open === undefined ? (
          <button type="submit" className="send" aria-label="Send" disabled={!canSend}>
            <ArrowUp aria-hidden size={20} />
          </button>
        ) : (
          <button
            type="button"
            className="send stop"
            aria-label="Stop"
            disabled={open.isStopping || snapshot.connection !== 'CONNECTED'}
            onClick={() => {
              session.cancel(open.turnId);
            }}
          >
            <Square aria-hidden size={14} fill="currentColor" />
          </button>
        )}
      </div>
    </form>
  );
}

/** The turn that is being answered. */
function openTurn({ exchanges }: SessionSnapshot): { turnId: string; isStopping: boolean } | undefined {
  const { turnId, turn } = exchanges.at(-1) ?? {};
  if (turnId === undefined || !turn || turn.end) return undefined;
  return { turnId, isStopping: turn.status === 'CANCELLING' };
}
