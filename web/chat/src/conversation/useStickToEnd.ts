import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';

/** How near the end counts as the end, in pixels. */
const TOLERANCE = 32;
/** How long after a person's wheel, key or touch a movement counts as that person's, in milliseconds. */
const INPUT_MS = 1000;

/**
 * Keeps a scroller at its end while its content grows, until a person scrolls up. The end is left by a person
 * alone: content whose height becomes known may move the place, too.
 */
export function useStickToEnd(scroller: RefObject<HTMLDivElement | null>, content: unknown) {
  const isStuck = useRef(true);
  const lastTop = useRef(0);
  const lastInput = useRef(-Infinity);
  const [isAtEnd, setIsAtEnd] = useState(true);

  const follow = useCallback(() => {
    const element = scroller.current;
    if (element && isStuck.current) element.scrollTop = element.scrollHeight;
  }, [scroller]);

  const scrollToEnd = useCallback(() => {
    isStuck.current = true;
    setIsAtEnd(true);
    follow();
  }, [follow]);

  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight } = element;
    const isNear = scrollHeight - scrollTop - clientHeight < TOLERANCE;
    const isByPerson = performance.now() - lastInput.current < INPUT_MS;
    if (isNear) isStuck.current = true;
    else if (isByPerson && scrollTop < lastTop.current) isStuck.current = false;
    lastTop.current = scrollTop;
    setIsAtEnd(isNear || isStuck.current);
  }, [scroller]);

  useLayoutEffect(follow, [follow, content]);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(follow);
    observer.observe(element);
    for (const child of element.children) observer.observe(child);
    const onInput = () => {
      lastInput.current = performance.now();
    };
    const inputs = ['wheel', 'touchmove', 'keydown', 'pointerdown'] as const;
    for (const input of inputs) element.addEventListener(input, onInput, { passive: true });
    return () => {
      observer.disconnect();
      for (const input of inputs) element.removeEventListener(input, onInput);
    };
  }, [scroller, follow]);

  return { isAtEnd, onScroll, scrollToEnd };
}
