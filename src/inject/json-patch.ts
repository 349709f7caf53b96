/** JSON patches (RFC 6902) between two pods. */
import { createPatch } from "rfc6902";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { isSame } from "./same-value.ts";

export type JsonPatch = readonly PatchOperation[];

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: PlainValue }
  | { readonly op: "remove"; readonly path: string };

/** Derives the operations that turn one object into the other; none where they are equal. */
export function derivePatch(before: PlainObject, after: PlainObject): JsonPatch {
  const operations = createPatch(before, after, (input, output, path) =>
    Array.isArray(input) && Array.isArray(output) ? diffLists(input, output, path.toString()) : undefined,
  );
  // The package's other operations (move, copy, test) are for patches that somebody writes; it derives none.
  return operations as unknown as JsonPatch;
}

/**
 * Lists that keep a common start and end are patched in the middle, item by item. The package compares every item with
 * every other, which is quadratic in whole containers.
 */
function diffLists(before: readonly PlainValue[], after: readonly PlainValue[], path: string): PatchOperation[] {
  let start = 0;
  while (start < before.length && start < after.length && isSame(before[start], after[start])) start++;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && isSame(before[before.length - 1 - end], after[after.length - 1 - end])) end++;
  const removed = before.length - end - start;
  const added = after.slice(start, after.length - end);
  const shared = Math.min(removed, added.length);
  return [
    ...added
      .slice(0, shared)
      .map((value, offset) => ({ op: "replace" as const, path: `${path}/${start + offset}`, value })),
    ...Array.from({ length: removed - shared }, () => ({ op: "remove" as const, path: `${path}/${start + shared}` })),
    ...added
      .slice(shared)
      .map((value, offset) => ({ op: "add" as const, path: `${path}/${start + shared + offset}`, value })),
  ];
}
