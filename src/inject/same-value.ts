import type { PlainValue } from "../api/plain-value.ts";

/** True for values that are the same JSON, whatever the order of their fields. */
export function isSame(a: PlainValue | undefined, b: PlainValue | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => isSame(item, b[at]));
  }
  const [left, right] = [a as Readonly<Record<string, PlainValue>>, b as Readonly<Record<string, PlainValue>>];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && isSame(left[name], right[name]))
  );
}
