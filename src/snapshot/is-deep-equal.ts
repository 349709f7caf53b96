import { isSameList } from "../lib/same-list.ts";

/**
 * True where two plain values (objects, arrays, Sets and Maps with text keys, primitives) have the same content. Used to
 * keep the identity of derived values that came out the same; absent and undefined fields are equal.
 */
export function isDeepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => isDeepEqual(item, b[i]))
    );
  }
  if (a instanceof Set) return b instanceof Set && a.size === b.size && [...a].every((item) => b.has(item));
  if (a instanceof Map) {
    return b instanceof Map && a.size === b.size && [...a].every(([key, value]) => isDeepEqual(value, b.get(key)));
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) => isDeepEqual(left[key], right[key]));
}

/** The earlier value where the two are equal in content, so that identity tells of a real change. */
export function keepIfEqual<Value>(before: Value | undefined, after: Value): Value {
  return before !== undefined && isDeepEqual(before, after) ? before : after;
}

/** The earlier array where it has identical elements in the same order. */
export function keepIfSameElements<Item>(before: readonly Item[] | undefined, after: readonly Item[]): readonly Item[] {
  return before !== undefined && isSameList(before, after) ? before : after;
}
