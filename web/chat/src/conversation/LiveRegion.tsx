import type { ConversationSnapshot } from 'parlance-client';
import { useState } from 'react';
import { announcementOf } from '../lib/words.js';

/** Tells users of screen readers when an answer begins, waits or ends, and not each word of it. */
export function LiveRegion({ snapshot }: { snapshot: ConversationSnapshot }) {
  const [last, setLast] = useState(snapshot);
  const [text, setText] = useState('');
  if (last.status !== snapshot.status) {
    setLast(snapshot);
    setText((before) => announcementOf(last, snapshot) ?? before);
  }
  return (
    <div className="visually-hidden" role="status">
      {text}
    </div>
  );
}
