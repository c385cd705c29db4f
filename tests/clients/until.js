import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than any expected event takes. */
const MILLISECONDS = 60_000;

/** Repeats a function until it returns a value. Its last error is the reason of a failure. */
export async function until(attempt) {
  const end = Date.now() + MILLISECONDS;
  for (;;) {
    let reason = new Error('it does not happen in time');
    try {
      const value = await attempt();
      if (value) return value;
    } catch (error) {
      reason = error;
    }
    if (Date.now() > end) throw reason;
    await sleep(50);
  }
}
