import { expect, test } from 'vitest';
import { shortcutOf, type Keys } from './shortcuts.js';

const NONE = { isControl: false, isShift: false, isAlt: false, isTyping: false };

test.each<[Partial<Keys> & { key: string }, string | undefined]>([
  [{ key: 'O', isControl: true, isShift: true }, 'NEW_CONVERSATION'],
  [{ key: 'k', isControl: true, isTyping: true }, 'SEARCH'],
  [{ key: '/', isControl: true }, 'HELP'],
  [{ key: '?', isShift: true }, 'HELP'],
  [{ key: '?', isShift: true, isTyping: true }, undefined],
  [{ key: '/' }, 'FOCUS_COMPOSER'],
  [{ key: '/', isTyping: true }, undefined],
  [{ key: 'Escape', isTyping: true }, 'STOP'],
  [{ key: 'Escape', isShift: true, isTyping: true }, 'FOCUS_COMPOSER'],
  [{ key: 'ArrowUp', isAlt: true }, 'PREVIOUS_CONVERSATION'],
  [{ key: 'ArrowDown', isAlt: true, isTyping: true }, 'NEXT_CONVERSATION'],
  [{ key: 'k' }, undefined],
  [{ key: 'a', isControl: true, isAlt: true }, undefined],
])('%j', (keys, shortcut) => {
  expect(shortcutOf({ ...NONE, ...keys })).toBe(shortcut);
});
