/** Filters that end a chain. Envoy refuses a listener of which one stands anywhere but at the end, or of which none does. */

import { typeNameOf } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { CompiledPatch } from "./compile-filter.ts";
import type { PatchLedger } from "./patch-notes.ts";

interface Filter {
  readonly name?: string | undefined;
  readonly typed_config?: Any | undefined;
}

// Envoy: factories whose isTerminalFilterByProto is true.
const terminalTypes =
  /^envoy\.extensions\.filters\.(http\.router|network\.(tcp_proxy|http_connection_manager|redis_proxy|echo|direct_response|thrift_proxy|dubbo_proxy|generic_proxy))\.v\d/;

function isTerminal({ typed_config }: Filter): boolean {
  return terminalTypes.test(typeNameOf(typed_config?.type_url ?? ""));
}

/** What a patch did to a chain. */
export interface ChainEdit<Item> {
  readonly patch: CompiledPatch;
  readonly before: readonly Item[];
  readonly after: readonly Item[];
}

/** True where Envoy takes filters in this order. */
export function endsRight(filters: readonly Filter[]): boolean {
  const last = filters.at(-1);
  return last !== undefined && isTerminal(last) && filters.findIndex(isTerminal) === filters.length - 1;
}

export interface RepairedChain<Item> {
  readonly filters: readonly Item[];
  /** Patches that were taken back. */
  readonly undone: ReadonlySet<CompiledPatch>;
}

/**
 * Takes back what would make Envoy refuse the whole listener: filters that patches put behind one that ends the chain, and
 * the removal of the only one that does. A chain that was not right before, or whose end cannot be told, is left alone.
 */
export function repairEnd<Item extends Filter>(
  original: readonly Item[],
  edits: readonly ChainEdit<Item>[],
  ledger: PatchLedger,
): RepairedChain<Item> {
  const undone = new Set<CompiledPatch>();
  const edited = edits.at(-1)?.after ?? original;
  if (!endsRight(original) || endsRight(edited)) return { filters: edited, undone };
  const undo = (patch: CompiledPatch, reason: string): void => {
    undone.add(patch);
    ledger.fail(patch, reason);
  };
  const filters = restoreEnd(original, edits, undo);
  const first = filters.findIndex(isTerminal);
  const kept = filters.filter((filter, index) => {
    const edit = first < 0 || index <= first ? undefined : edits.find(({ patch }) => patch.value === filter);
    if (edit === undefined) return true;
    undo(edit.patch, `would stand behind ${filters[first]?.name}, which must be the last: use INSERT_BEFORE`);
    return false;
  });
  return { filters: kept, undone };
}

function restoreEnd<Item extends Filter>(
  original: readonly Item[],
  edits: readonly ChainEdit<Item>[],
  undo: (patch: CompiledPatch, reason: string) => void,
): readonly Item[] {
  const filters = edits.at(-1)?.after ?? original;
  const end = original.at(-1);
  if (end === undefined || filters.some(isTerminal)) return filters;
  // An end of a kind that is not known here may have taken its place.
  if (edits.some(({ patch }) => patch.value !== undefined && patch.value === filters.at(-1))) return filters;
  const removal = edits.find(({ before, after }) => before.includes(end) && !after.includes(end));
  if (removal === undefined) return filters;
  undo(removal.patch, `${end.name} ends the chain, which cannot be without`);
  return [...filters, end];
}
