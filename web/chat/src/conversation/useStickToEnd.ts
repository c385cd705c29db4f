import { useEffect, useLayoutEffect, useState, type RefObject } from 'react';

/** How near the end counts as the end, in pixels. */
const TOLERANCE = 32;
/** How long after a person's wheel, key or touch a movement counts as that person's, in milliseconds. */
const INPUT_MS = 1000;
const INPUTS = ['wheel', 'touchmove', 'keydown', 'pointerdown'] as const;

/**
 * Keeps a scroller at its end while its content grows, until a person scrolls up. The end is left by a person
 * alone: content whose height becomes known may move the place, too.
 */
class EndFollower {
  #element: HTMLElement | null = null;
  #isStuck = true;
  #lastTop = 0;
  #lastInput = -Infinity;
  readonly #onChange: (isAtEnd: boolean) => void;

  constructor(onChange: (isAtEnd: boolean) => void) {
    this.#onChange = onChange;
  }

  /** Returns the function that ends it. */
  attach(element: HTMLElement): () => void {
    this.#element = element;
    const ended = new AbortController();
    const options = { passive: true, signal: ended.signal };
    const observer = new ResizeObserver(this.follow);
    for (const observed of [element, ...element.children]) observer.observe(observed);
    element.addEventListener('scroll', this.#onScroll, options);
    for (const input of INPUTS) element.addEventListener(input, this.#onInput, options);
    return () => {
      observer.disconnect();
      ended.abort();
    };
  }

  readonly follow = () => {
    if (this.#element && this.#isStuck) this.#element.scrollTop = this.#element.scrollHeight;
  };

  readonly scrollToEnd = () => {
    this.#isStuck = true;
    this.#onChange(true);
    this.follow();
  };

  readonly #onInput = () => {
    this.#lastInput = performance.now();
  };

  readonly #onScroll = () => {
    if (!this.#element) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#element;
    const isNear = scrollHeight - scrollTop - clientHeight < TOLERANCE;
    const isByPerson = performance.now() - this.#lastInput < INPUT_MS;
    if (isNear) this.#isStuck = true;
    else if (isByPerson && scrollTop < this.#lastTop) this.#isStuck = false;
    this.#lastTop = scrollTop;
    this.#onChange(isNear || this.#isStuck);
  };
}

/** `content` is what the scroller shows: it is followed with each change. */
export function useStickToEnd(scroller: RefObject<HTMLElement | null>, content: unknown) {
  const [isAtEnd, setIsAtEnd] = useState(true);
  const [follower] = useState(() => new EndFollower(setIsAtEnd));
  useLayoutEffect(
    () => (scroller.current ? follower.attach(scroller.current) : undefined),
    [scroller, follower],
  );
  useLayoutEffect(() => {
    follower.follow();
  }, [follower, content]);
  // The elements of the list come after the first layout.
  useEffect(() => {
    follower.follow();
  }, [follower, content]);
  return { isAtEnd, scrollToEnd: follower.scrollToEnd };
}
