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

/** The old list if it has exactly the items of the new one. */
export function keepList<T>(old: readonly T[], list: readonly T[]): readonly T[] {
  const isSame = old.length === list.length && old.every((item, index) => item === list[index]);
  return isSame ? old : list;
}

function isNull(value: unknown): boolean {
  return value === null || value === undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
