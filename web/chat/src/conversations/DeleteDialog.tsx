import { useState } from 'react';
import { navigate } from '../app/router.js';
import { useWorkspace } from '../app/workspace.js';
import { sentenceOf } from '../lib/words.js';
import { Dialog } from '../ui/Dialog.js';

interface DeleteDialogProps {
  readonly id: string;
  readonly title: string;
  readonly onClose: () => void;
}

export function DeleteDialog({ id, title, onClose }: DeleteDialogProps) {
  const { remove } = useWorkspace();
  const [state, setState] = useState<{ isDeleting: boolean; failure?: string }>({ isDeleting: false });
  const confirm = () => {
    setState({ isDeleting: true });
    remove(id).then(
      () => {
        onClose();
        navigate({ page: 'new' });
      },
      (error: unknown) => {
        setState({ isDeleting: false, failure: sentenceOf(error) });
      },
    );
  };
  return (
    <Dialog title="Delete conversation?" onClose={onClose} isAlert>
      <p>
        <bdi>“{title}”</bdi> is deleted for everybody with whom it is shared. There is no way back.
      </p>
      {state.failure !== undefined && <p role="alert">{state.failure}</p>}
      <div className="dialog-buttons">
        <button type="button" className="button" autoFocus onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="button button-danger" disabled={state.isDeleting} onClick={confirm}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}
