/** Light and dark: as the system has it, or as the person has chosen in this browser. */
import { readStored, writeStored } from '../lib/stored.js';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'parlance.theme';

export function storedTheme(): Theme {
  const theme = readStored(KEY);
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
}

export function chooseTheme(theme: Theme): void {
  writeStored(KEY, theme === 'system' ? undefined : theme);
  applyTheme(theme);
}
