/** What opens beside a button: a menu or a list of options, in the browser's top layer. */
import { useId, useRef, useState, type KeyboardEvent, type RefObject, type ToggleEvent } from 'react';

export interface Popup {
  readonly isOpen: boolean;
  readonly close: () => void;
  readonly button: {
    readonly ref: RefObject<HTMLButtonElement | null>;
    readonly popoverTarget: string;
    readonly 'aria-expanded': boolean;
    readonly 'aria-controls': string;
    readonly onKeyDown: (event: KeyboardEvent) => void;
  };
  readonly list: {
    readonly ref: RefObject<HTMLDivElement | null>;
    readonly id: string;
    readonly popover: 'auto';
    readonly onBeforeToggle: (event: ToggleEvent) => void;
    readonly onToggle: (event: ToggleEvent) => void;
    readonly onKeyDown: (event: KeyboardEvent) => void;
  };
}

const GAP = 6;

/** Items are buttons in the list with the role `itemRole`. The one with `data-first` gets the focus first. */
export function usePopup(itemRole: 'menuitem' | 'option'): Popup {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [isOpen, setIsOpen] = useState(false);
  const items = () => [...(list.current?.querySelectorAll<HTMLElement>(`[role^=${itemRole}]`) ?? [])];
  const focusFirst = () => {
    const all = items();
    (all.find((item) => 'first' in item.dataset) ?? all[0])?.focus();
  };
  return {
    isOpen,
    close: () => {
      list.current?.hidePopover();
    },
    button: {
      ref: button,
      popoverTarget: id,
      'aria-expanded': isOpen,
      'aria-controls': id,
      onKeyDown: (event) => {
        if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
        event.preventDefault();
        list.current?.showPopover();
      },
    },
    list: {
      ref: list,
      id,
      popover: 'auto',
      onBeforeToggle: (event) => {
        if (event.newState === 'open') moveTo(button.current, list.current);
      },
      onToggle: (event) => {
        setIsOpen(event.newState === 'open');
        if (event.newState === 'open') focusFirst();
      },
      onKeyDown: (event) => {
        const next = nextItem(items(), event.key);
        if (next) {
          event.preventDefault();
          next.focus();
        } else if (event.key === 'Tab' || event.key === 'Escape') {
          event.preventDefault();
          event.stopPropagation();
          list.current?.hidePopover();
          button.current?.focus();
        }
      },
    },
  };
}

function nextItem(items: readonly HTMLElement[], key: string): HTMLElement | undefined {
  const index = items.findIndex((item) => item === document.activeElement);
  switch (key) {
    case 'ArrowDown':
      return items[(index + 1) % items.length];
    case 'ArrowUp':
      return items[(index <= 0 ? items.length : index) - 1];
    case 'Home':
      return items[0];
    case 'End':
      return items.at(-1);
    default:
      return key.length === 1 && key !== ' ' ? startingWith(items, key, index) : undefined;
  }
}

function startingWith(items: readonly HTMLElement[], key: string, from: number): HTMLElement | undefined {
  const letter = key.toLocaleLowerCase();
  const rotated = [...items.slice(from + 1), ...items.slice(0, from + 1)];
  return rotated.find((item) => item.textContent.trim().toLocaleLowerCase().startsWith(letter));
}

/** Towards the middle of the window, where there is more room. */
function moveTo(button: HTMLElement | null, list: HTMLElement | null): void {
  if (!button || !list) return;
  const { top, bottom, left, right } = button.getBoundingClientRect();
  const isLow = top > innerHeight / 2;
  const isRight = (left + right) / 2 > innerWidth / 2;
  const room = (isLow ? top : innerHeight - bottom) - 2 * GAP;
  list.style.inset = [
    isLow ? 'auto' : `${bottom + GAP}px`,
    isRight ? `${Math.max(GAP, innerWidth - right)}px` : 'auto',
    isLow ? `${innerHeight - top + GAP}px` : 'auto',
    isRight ? 'auto' : `${Math.max(GAP, left)}px`,
  ].join(' ');
  list.style.maxBlockSize = `${room}px`;
}
