import { useEffect, useEffectEvent } from 'react';
import { navigate } from './router.js';
import { shortcutOf } from './shortcuts.js';

interface Actions {
  readonly openHelp: () => void;
  readonly openSearch: () => void;
  readonly stepTo: (offset: 1 | -1) => void;
}

/** Listens to the keys of the page, but for `STOP`, which is the conversation's own. */
export function useShortcuts(actions: Actions): void {
  const onKeyDown = useEffectEvent((event: KeyboardEvent) => {
    const isInDialog = event.target instanceof Element && event.target.closest('dialog') !== null;
    const shortcut = isInDialog ? undefined : shortcutOf(keysOf(event));
    if (!shortcut || shortcut === 'STOP') return;
    event.preventDefault();
    switch (shortcut) {
      case 'NEW_CONVERSATION':
        navigate({ page: 'new' });
        break;
      case 'SEARCH':
        actions.openSearch();
        break;
      case 'FOCUS_COMPOSER':
        focusComposer();
        break;
      case 'PREVIOUS_CONVERSATION':
        actions.stepTo(-1);
        break;
      case 'NEXT_CONVERSATION':
        actions.stepTo(1);
        break;
      case 'HELP':
        actions.openHelp();
        break;
    }
  });
  useEffect(() => {
    addEventListener('keydown', onKeyDown);
    return () => {
      removeEventListener('keydown', onKeyDown);
    };
  }, []);
}

export function focusComposer(): void {
  document.querySelector<HTMLElement>('textarea[name=message]')?.focus();
}

export function keysOf(event: KeyboardEvent) {
  const { key, ctrlKey, metaKey, shiftKey, altKey, target } = event;
  const isTyping =
    target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]');
  return { key, isControl: ctrlKey || metaKey, isShift: shiftKey, isAlt: altKey, isTyping };
}
