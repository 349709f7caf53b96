import type { CompiledPatch } from "./compile-filter.ts";

/** What an operation on a list needs to know of the things in it. */
export interface ListTarget<Item> {
  /** False where the patch names no thing in the list; every thing is meant then. */
  readonly hasMatch: boolean;
  matches(item: Item): boolean;
}

/**
 * Carries out an operation that changes which things are in a list: the first that matches counts, except for REMOVE,
 * which takes all. Undefined where it changes nothing. What has no place to go by goes to the end (INSERT_AFTER) or the
 * beginning; REPLACE and REMOVE need to be told what they mean (Istio: envoyfilter/listener_patch.go).
 */
export function editList<Item extends object>(
  items: readonly Item[],
  { operation, value }: CompiledPatch,
  { hasMatch, matches }: ListTarget<Item>,
): readonly Item[] | undefined {
  if (operation === "REMOVE") {
    const kept = hasMatch ? items.filter((item) => !matches(item)) : items;
    return kept.length === items.length ? undefined : kept;
  }
  if (value === undefined) return undefined;
  const item = value as Item;
  if (operation === "ADD") return [...items, item];
  if (operation === "INSERT_FIRST") return [item, ...items];
  if (!hasMatch && operation === "INSERT_AFTER") return [...items, item];
  if (!hasMatch && operation === "INSERT_BEFORE") return [item, ...items];
  const at = hasMatch ? items.findIndex(matches) : -1;
  if (at < 0) return undefined;
  switch (operation) {
    case "INSERT_AFTER":
      return items.toSpliced(at + 1, 0, item);
    case "INSERT_BEFORE":
      return items.toSpliced(at, 0, item);
    case "REPLACE":
      return items.toSpliced(at, 1, item);
    default:
      return undefined;
  }
}
