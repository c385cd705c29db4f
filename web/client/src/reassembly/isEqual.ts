/** Whether two JSON values are the same. A member that is null equals one that is left out. */
export function isEqual(one: unknown, other: unknown): boolean {
  if (one === other || (isNull(one) && isNull(other))) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => isEqual(item, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => isEqual(one[name], other[name]));
}

/** The new object with those members of the old one that are equal; the old one if all are. */
export function keepEqual<T extends object>(old: T | undefined, object: T): T {
  if (!old) return object;
  const names = Object.keys(object) as (keyof T)[];
  const changed = names.filter((name) => !isEqual(old[name], object[name]));
  if (changed.length === 0) return old;
  const merged = { ...old };
  for (const name of changed) merged[name] = object[name];
  return merged;
}

function isNull(value: unknown): boolean {
  return value === null || value === undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
