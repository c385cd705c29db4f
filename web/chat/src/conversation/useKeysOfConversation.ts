import type { ConversationStatus, ConversationStore } from 'parlance-client';
import { useEffect, useEffectEvent } from 'react';
import { shortcutOf } from '../app/shortcuts.js';
import { keysOf } from '../app/useShortcuts.js';

/** Escape stops the answer, unless it closes a dialog or a menu. */
export function useKeysOfConversation(store: ConversationStore, status: ConversationStatus): void {
  const onKeyDown = useEffectEvent((event: KeyboardEvent) => {
    const isElsewhere = event.target instanceof Element && event.target.closest('dialog, [popover]') !== null;
    if (isElsewhere || event.isComposing || shortcutOf(keysOf(event)) !== 'STOP') return;
    if (status === 'IDLE' || status === 'SENDING') return;
    event.preventDefault();
    store.cancel().catch(() => undefined);
  });
  useEffect(() => {
    addEventListener('keydown', onKeyDown);
    return () => {
      removeEventListener('keydown', onKeyDown);
    };
  }, []);
}
