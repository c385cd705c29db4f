/** Tells listeners of changes, at most once per animation frame. */

/** The longest wait, in ms: a page in the background gets no animation frames. */
const LONGEST_WAIT = 100;

export class Notifier {
  readonly #listeners = new Set<() => void>();
  #isDue = false;

  /** Returns the function that ends the subscription. */
  add(listener: () => void): () => void {
    const entry = () => {
      listener();
    };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  notify(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    onNextFrame(() => {
      this.#isDue = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}

function onNextFrame(callback: () => void): void {
  if (typeof requestAnimationFrame === 'undefined') {
    setTimeout(callback, 0);
    return;
  }
  const run = () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    callback();
  };
  const timer = setTimeout(run, LONGEST_WAIT);
  const frame = requestAnimationFrame(run);
}
