/** Requests that are repeated while their failure may pass. */
import { ParlanceError } from '../errors.js';

/** The waits before a request is sent again, in ms: together about a minute. Each is cut by up to a half. */
const WAITS = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000, 16_000];

/** Sends a request, which must be idempotent, up to ten times. Throws its last `ParlanceError`. */
export async function repeat<Result>(request: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  for (const wait of WAITS) {
    try {
      return await request();
    } catch (error) {
      if (signal.aborted || !(error instanceof ParlanceError) || !error.retryable) throw error;
    }
    await pause(wait * (1 - Math.random() / 2), signal);
  }
  return request();
}

/** Ends early once the browser is online again. */
function pause(wait: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const ended = new AbortController();
    const end = () => {
      clearTimeout(timer);
      ended.abort();
      resolve();
    };
    const timer = setTimeout(end, wait);
    signal.addEventListener('abort', end, { signal: ended.signal });
    if (typeof window !== 'undefined') window.addEventListener('online', end, { signal: ended.signal });
  });
}
