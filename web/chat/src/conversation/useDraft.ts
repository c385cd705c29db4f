import { useCallback, useState } from 'react';
import { readStored, writeStored } from '../lib/stored.js';
import { parseDrafts, withDraft } from './drafts.js';

const KEY = 'parlance.drafts';

/** The text that is being written in a conversation. It outlives the page. */
export function useDraft(id: string): [text: string, setText: (text: string) => void] {
  const [text, setText] = useState(() => parseDrafts(readStored(KEY))[id]?.text ?? '');
  const set = useCallback(
    (next: string) => {
      setText(next);
      const drafts = withDraft(parseDrafts(readStored(KEY)), id, next, Date.now());
      writeStored(KEY, Object.keys(drafts).length === 0 ? undefined : drafts);
    },
    [id],
  );
  return [text, set];
}
