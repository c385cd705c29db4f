import { UserMinus } from 'lucide-react';
import type { Access, ConversationDetails } from 'parlance-client';
import { useState, type SyntheticEvent } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { sentenceOf } from '../lib/words.js';
import { Dialog } from '../ui/Dialog.js';

interface ShareDialogProps {
  readonly conversation: ConversationDetails;
  /** Reads the conversation again, with its participants. */
  readonly reload: () => Promise<void>;
  readonly onClose: () => void;
}

/** Who may read a conversation, and who may write to it. */
export function ShareDialog({ conversation, reload, onClose }: ShareDialogProps) {
  const { client, session } = useWorkspace();
  const [state, setState] = useState<{ isBusy: boolean; failure?: string }>({ isBusy: false });
  const { id: conversationId, participants, access: ownAccess } = conversation;
  const change = async (request: () => Promise<unknown>): Promise<boolean> => {
    setState({ isBusy: true });
    try {
      await request();
      await reload();
      setState({ isBusy: false });
      return true;
    } catch (error) {
      setState({ isBusy: false, failure: sentenceOf(error) });
      return false;
    }
  };
  const share = (userId: string, access: Access) =>
    change(() => client.shareConversation({ conversationId, userId, access }));
  const remove = (userId: string) => change(() => client.unshareConversation(conversationId, userId));
  if (session.mode === 'API_KEY') {
    return (
      <Dialog title="Share" onClose={onClose}>
        <p>All callers with an API key are one user: who has the key and this link can read and write.</p>
      </Dialog>
    );
  }
  return (
    <Dialog title="Share" onClose={onClose}>
      {ownAccess === 'OWNER' && <ShareForm isBusy={state.isBusy} share={share} />}
      {state.failure !== undefined && <p role="alert">{state.failure}</p>}
      {participants.length === 0 ? (
        <p className="hint">Nobody else can see this conversation.</p>
      ) : (
        <ul className="participants">
          {participants.map(({ userId, access }) => (
            <li key={userId}>
              <code>{userId}</code>
              <AccessField
                label={`Access of ${userId}`}
                access={access}
                isDisabled={state.isBusy || ownAccess !== 'OWNER'}
                onChange={(next) => void share(userId, next)}
              />
              {ownAccess === 'OWNER' && (
                <button
                  type="button"
                  className="icon-button"
                  aria-label={`Remove ${userId}`}
                  disabled={state.isBusy}
                  onClick={() => void remove(userId)}
                >
                  <UserMinus aria-hidden size={16} />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}

interface ShareFormProps {
  readonly isBusy: boolean;
  readonly share: (userId: string, access: Access) => Promise<boolean>;
}

function ShareForm({ isBusy, share }: ShareFormProps) {
  const [userId, setUserId] = useState('');
  const [access, setAccess] = useState<Access>('READ');
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    void share(userId.trim(), access).then((isShared) => {
      if (isShared) setUserId('');
    });
  };
  return (
    <form className="form" onSubmit={submit}>
      <label className="form-row">
        User id
        <input
          className="field"
          autoFocus
          spellCheck={false}
          autoComplete="off"
          value={userId}
          onChange={(event) => {
            setUserId(event.target.value);
          }}
        />
      </label>
      <p className="hint">The other user finds it in the menu of the account.</p>
      <div className="form-line">
        <AccessField label="Access" access={access} isDisabled={isBusy} onChange={setAccess} />
        <button type="submit" className="button button-primary" disabled={isBusy || userId.trim() === ''}>
          Share
        </button>
      </div>
    </form>
  );
}

interface AccessFieldProps {
  readonly label: string;
  readonly access: Access;
  readonly isDisabled: boolean;
  readonly onChange: (access: Access) => void;
}

function AccessField({ label, access, isDisabled, onChange }: AccessFieldProps) {
  return (
    <select
      className="field"
      aria-label={label}
      value={access}
      disabled={isDisabled}
      onChange={(event) => {
        onChange(event.target.value === 'WRITE' ? 'WRITE' : 'READ');
      }}
    >
      <option value="READ">Can read</option>
      <option value="WRITE">Can read and write</option>
    </select>
  );
}
