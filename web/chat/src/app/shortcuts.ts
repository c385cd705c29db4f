/** The keys of the page. Ctrl is ⌘ on Apple's computers. */

export type Shortcut =
  | 'NEW_CONVERSATION'
  | 'SEARCH'
  | 'FOCUS_COMPOSER'
  | 'STOP'
  | 'PREVIOUS_CONVERSATION'
  | 'NEXT_CONVERSATION'
  | 'HELP';

export interface Keys {
  readonly key: string;
  readonly isControl: boolean;
  readonly isShift: boolean;
  readonly isAlt: boolean;
  /** Whether the focus is where text is typed. */
  readonly isTyping: boolean;
}

/** The shortcut that was pressed, if it is one. */
export function shortcutOf({ key, isControl, isShift, isAlt, isTyping }: Keys): Shortcut | undefined {
  if (isControl && !isAlt) {
    if (isShift) return key.toLowerCase() === 'o' ? 'NEW_CONVERSATION' : undefined;
    if (key.toLowerCase() === 'k') return 'SEARCH';
    return key === '/' ? 'HELP' : undefined;
  }
  if (isAlt && !isControl) {
    if (key === 'ArrowUp') return 'PREVIOUS_CONVERSATION';
    return key === 'ArrowDown' ? 'NEXT_CONVERSATION' : undefined;
  }
  if (key === 'Escape') return isShift ? 'FOCUS_COMPOSER' : 'STOP';
  if (isTyping || isControl || isAlt) return undefined;
  if (key === '/') return 'FOCUS_COMPOSER';
  return key === '?' ? 'HELP' : undefined;
}

/** What the help lists: each action with its keys. */
export const SHORTCUT_HELP: readonly (readonly [action: string, ...keys: string[]])[] = [
  ['Send the message', 'Enter'],
  ['Begin a new line', 'Shift + Enter'],
  ['Stop the answer', 'Escape'],
  ['New conversation', 'Ctrl + Shift + O'],
  ['Search conversations', 'Ctrl + K'],
  ['Write a message', '/', 'Shift + Escape'],
  ['Previous or next conversation', 'Alt + ↑', 'Alt + ↓'],
  ['Show these shortcuts', '?', 'Ctrl + /'],
];
