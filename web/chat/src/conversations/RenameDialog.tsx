import { useState, type SyntheticEvent } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { sentenceOf } from '../lib/words.js';
import { Dialog } from '../ui/Dialog.js';

interface RenameDialogProps {
  readonly id: string;
  readonly title: string;
  readonly onClose: () => void;
}

export function RenameDialog({ id, title, onClose }: RenameDialogProps) {
  const { list } = useWorkspace();
  const [value, setValue] = useState(title);
  const [failure, setFailure] = useState<string>();
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    list.rename(id, value.trim()).then(onClose, (error: unknown) => {
      setFailure(sentenceOf(error));
    });
  };
  return (
    <Dialog title="Rename conversation" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <label className="form-row">
          Title
          <input
            className="field"
            autoFocus
            dir="auto"
            maxLength={200}
            value={value}
            onChange={(event) => {
              setValue(event.target.value);
            }}
          />
        </label>
        {failure !== undefined && <p role="alert">{failure}</p>}
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button button-primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
