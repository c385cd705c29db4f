/** Exponential backoff with full jitter, which spreads many clients that were cut off at the same moment. */
export interface Backoff {
  /** The longest delay after the first failure, in ms. It doubles with each further one. */
  readonly first: number;
  /** The longest delay of all, in ms. */
  readonly longest: number;
}

/** The delay after `failures` failed tries, counted from 1, in ms. `random` is at least 0 and less than 1. */
export function delayOf({ first, longest }: Backoff, failures: number, random: number): number {
  return Math.min(first * 2 ** (failures - 1), longest) * random;
}
