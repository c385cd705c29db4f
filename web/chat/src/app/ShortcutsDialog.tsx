import { Fragment } from 'react';
import { Dialog } from '../ui/Dialog.js';
import { SHORTCUT_HELP } from './shortcuts.js';

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="shortcuts">
        {SHORTCUT_HELP.map(([action, ...keys]) => (
          <div key={action}>
            <dt>{action}</dt>
            <dd>
              {keys.map((key, index) => (
                <Fragment key={key}>
                  {index > 0 && ' or '}
                  <kbd>{key}</kbd>
                </Fragment>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
