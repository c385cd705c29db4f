/** Values that equal those of before keep their identity, so that pages render only what has changed. */

/** `next`, with everything in it that equals its counterpart in `previous` replaced by that one. */
export function share<Value>(previous: unknown, next: Value): Value {
  if (Object.is(previous, next)) return next;
  const shared = Array.isArray(next) && Array.isArray(previous) ? shareItems(previous, next) : undefined;
  return (shared ?? (isRecord(previous) && isRecord(next) ? shareMembers(previous, next) : next)) as Value;
}

function shareItems(previous: unknown[], next: unknown[]): unknown[] {
  const items = next.map((item, index) => share(previous[index], item));
  const isSame =
    items.length === previous.length && items.every((item, index) => Object.is(item, previous[index]));
  return isSame ? previous : items;
}

type PlainObject = Record<string, unknown>;

function shareMembers(previous: PlainObject, next: PlainObject): PlainObject {
  const keys = Object.keys(next);
  const members = Object.fromEntries(keys.map((key) => [key, share(previous[key], next[key])]));
  const isSame =
    keys.length === Object.keys(previous).length &&
    keys.every((key) => key in previous && Object.is(members[key], previous[key]));
  return isSame ? previous : members;
}

function isRecord(value: unknown): value is PlainObject {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
