import { vi } from 'vitest';

/** Waits until a value is there. Fails after a time that only a defect takes, 10 seconds by default. */
export function until<Value>(get: () => Value | undefined | false, timeout = 10_000): Promise<Value> {
  const check = (): Value => {
    const value = get();
    if (value === undefined || value === false) throw new Error(`not yet: ${get.toString()}`);
    return value;
  };
  return vi.waitFor(check, { timeout, interval: 5 });
}
