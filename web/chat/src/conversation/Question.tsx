import { Pencil, RotateCw, Trash2 } from 'lucide-react';
import type { UserMessage } from 'parlance-client';
import { memo, useState, type KeyboardEvent, type SyntheticEvent } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { sentenceOf } from '../lib/words.js';
import { useConversation } from './conversationContext.js';

interface QuestionProps {
  readonly message: UserMessage;
  readonly isOwn: boolean;
  readonly isEditable: boolean;
}

/** A user's message, as it was written. */
export const Question = memo(function Question({ message, isOwn, isEditable }: QuestionProps) {
  const [isEditing, setIsEditing] = useState(false);
  const { text, delivery, sender } = message;
  const author = isOwn ? 'you' : (sender?.name ?? 'another user');
  const failed = typeof delivery === 'object' ? delivery.failed : undefined;
  if (isEditing) {
    return (
      <article className="question" aria-label={`Message from ${author}`}>
        <EditForm
          message={message}
          onClose={() => {
            setIsEditing(false);
          }}
        />
      </article>
    );
  }
  const edit = () => {
    setIsEditing(true);
  };
  return (
    <article className={isOwn ? 'question' : 'question of-other'} aria-label={`Message from ${author}`}>
      {!isOwn && <span className="author">{author}</span>}
      <div className="bubble-line">
        {isEditable && !failed && (
          <button type="button" className="icon-button edit" aria-label="Edit" title="Edit" onClick={edit}>
            <Pencil aria-hidden size={15} />
          </button>
        )}
        <div className={delivery === 'SENDING' ? 'bubble sending' : 'bubble'} dir="auto">
          {text}
        </div>
      </div>
      {failed && <FailedMessage message={message} sentence={sentenceOf(failed)} edit={edit} />}
      {delivery === 'SENDING' && <span className="message-note">Sending…</span>}
    </article>
  );
});

interface FailedMessageProps {
  readonly message: UserMessage;
  readonly sentence: string;
  readonly edit: () => void;
}

function FailedMessage({ message, sentence, edit }: FailedMessageProps) {
  const { store } = useConversation();
  const { id, text } = message;
  return (
    <div className="problem">
      <p role="alert">This message was not sent. {sentence}</p>
      <div className="problem-buttons">
        <button
          type="button"
          className="button"
          onClick={() => {
            store.send(text, { id }).catch(() => undefined);
          }}
        >
          <RotateCw aria-hidden size={15} />
          Send again
        </button>
        <button type="button" className="button button-quiet" onClick={edit}>
          <Pencil aria-hidden size={15} />
          Edit
        </button>
        <button
          type="button"
          className="button button-quiet"
          onClick={() => {
            store.discard(id);
          }}
        >
          <Trash2 aria-hidden size={15} />
          Discard
        </button>
      </div>
    </div>
  );
}

function EditForm({ message, onClose }: { message: UserMessage; onClose: () => void }) {
  const { store } = useConversation();
  const { report } = useWorkspace();
  const [text, setText] = useState(message.text);
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (text.trim() === '') return;
    store.edit(message.id, text).catch(report);
    onClose();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      onClose();
    } else if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      submit(event);
    }
  };
  return (
    <form className="edit-form" onSubmit={submit}>
      <textarea
        aria-label="Edit message"
        className="field"
        autoFocus
        dir="auto"
        rows={3}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
        }}
        onKeyDown={onKeyDown}
      />
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="button button-primary" disabled={text.trim() === ''}>
          Send again
        </button>
      </div>
    </form>
  );
}
