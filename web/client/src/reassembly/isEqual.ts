import { isRecord } from '../errors.js';

/** Whether two JSON values are the same. A member that is null equals one that is left out. */
export function isEqual(one: unknown, other: unknown): boolean {
  if (one === other || (!isSet(one) && !isSet(other))) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => isEqual(item, other[index]));
  }
  if (!isRecord(one) || !isRecord(other)) return false;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => isEqual(one[name], other[name]));
}

export function isSet<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}
