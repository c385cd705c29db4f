import { setTimeout as delay } from 'node:timers/promises';

const INTERVAL_MILLISECONDS = 25;

/**
 * The first value of a check that is neither undefined, null nor false. Fails with `what` when there is none
 * within `timeout` milliseconds.
 */
export async function until<Value>(
  what: string,
  check: () => Promise<Value | undefined | null | false> | Value | undefined | null | false,
  timeout = 15_000,
  interval = INTERVAL_MILLISECONDS,
): Promise<Value> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`Not within ${timeout} ms: ${what}`);
    await delay(interval);
  }
}

/** The value of a promise, or an error with `what` after `timeout` milliseconds. */
export async function within<Value>(what: string, promise: Promise<Value>, timeout = 15_000): Promise<Value> {
  const end = new AbortController();
  const late = delay(timeout, undefined, { signal: end.signal }).then(() => {
    throw new Error(`Not within ${timeout} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    end.abort();
    late.catch(() => undefined);
  }
}
