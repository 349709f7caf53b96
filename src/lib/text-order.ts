/** Orders text by UTF-16 units, the same everywhere (localeCompare is not). */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Entries of a map by their names, so that the order in which somebody wrote them does not change bytes. */
export function sortEntries<Value>(entries: Iterable<readonly [string, Value]>): readonly (readonly [string, Value])[] {
  return [...entries].sort(([a], [b]) => compareText(a, b));
}
