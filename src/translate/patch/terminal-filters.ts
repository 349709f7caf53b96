/** Filters that end a chain. Envoy refuses a listener of which one stands anywhere but at the end, or of which none does. */

import { isTypeName, typeNameOf } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { CompiledPatch } from "./compile-filter.ts";
import { editList, type ListTarget } from "./list-edit.ts";
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

/** True for filters of which nothing is known here. */
function mayEnd({ typed_config }: Filter): boolean {
  const typeName = typeNameOf(typed_config?.type_url ?? "");
  return !isTypeName(typeName) || typeName === "xds.type.v3.TypedStruct";
}

/** True where Envoy takes filters in this order. */
function endsRight(filters: readonly Filter[]): boolean {
  const last = filters.at(-1);
  return last !== undefined && isTerminal(last) && filters.findIndex(isTerminal) === filters.length - 1;
}

/** A chain with its filters edited. */
export interface EditedChain<Item> {
  readonly filters: readonly Item[];
  /** Patches that changed which filters there are. */
  readonly used: readonly CompiledPatch[];
}

/**
 * Carries out what patches say of which filters a chain has, save what would make Envoy refuse the whole listener: filters
 * behind one that ends the chain, and the removal of the only one that does. A chain that was not right before, or whose
 * end cannot be told, is left as the patches make it.
 */
export function editChain<Item extends Filter>(
  original: readonly Item[],
  { patches, targetOf }: ChainPatches<Item>,
  ledger: PatchLedger,
): EditedChain<Item> {
  let edits = applyAll(original, patches, targetOf);
  if (!endsRight(original)) return { filters: resultOf(original, edits), used: edits.map(({ patch }) => patch) };
  const refused = new Set<CompiledPatch>();
  for (let removal = findEndRemoval(original, edits); removal !== undefined; ) {
    refused.add(removal);
    ledger.fail(removal, `${original.at(-1)?.name} ends the chain, which cannot be without`);
    const others = patches.filter((patch) => !refused.has(patch));
    edits = applyAll(original, others, targetOf);
    removal = findEndRemoval(original, edits);
  }
  const filters = leaveOutBehind(resultOf(original, edits), (filter, end) => {
    const edit = edits.find(({ patch }) => patch.value === filter);
    if (edit === undefined) return false;
    refused.add(edit.patch);
    ledger.fail(edit.patch, `would stand behind ${end.name}, which must be the last: use INSERT_BEFORE`);
    return true;
  });
  return { filters, used: edits.map(({ patch }) => patch).filter((patch) => !refused.has(patch)) };
}

interface ChainPatches<Item> {
  readonly patches: readonly CompiledPatch[];
  targetOf(patch: CompiledPatch): ListTarget<Item>;
}

interface Edit<Item> {
  readonly patch: CompiledPatch;
  readonly before: readonly Item[];
  readonly after: readonly Item[];
}

function applyAll<Item extends Filter>(
  original: readonly Item[],
  patches: readonly CompiledPatch[],
  targetOf: (patch: CompiledPatch) => ListTarget<Item>,
): readonly Edit<Item>[] {
  let filters = original;
  return patches.flatMap((patch) => {
    const before = filters;
    const after = editList(before, patch, targetOf(patch));
    if (after === undefined) return [];
    filters = after;
    return [{ patch, before, after }];
  });
}

function resultOf<Item>(original: readonly Item[], edits: readonly Edit<Item>[]): readonly Item[] {
  return edits.at(-1)?.after ?? original;
}

/** The patch that took the end away, where nothing that may be one came in its place. */
function findEndRemoval<Item extends Filter>(
  original: readonly Item[],
  edits: readonly Edit<Item>[],
): CompiledPatch | undefined {
  const filters = resultOf(original, edits);
  const [end, last] = [original.at(-1), filters.at(-1)];
  if (end === undefined || filters.some(isTerminal) || (last !== undefined && mayEnd(last))) return undefined;
  return edits.find(({ before, after }) => before.includes(end) && !after.includes(end))?.patch;
}

function leaveOutBehind<Item extends Filter>(
  filters: readonly Item[],
  isLeftOut: (filter: Item, end: Item) => boolean,
): readonly Item[] {
  const at = filters.findIndex(isTerminal);
  const end = filters[at];
  if (end === undefined || at === filters.length - 1) return filters;
  return filters.filter((filter, index) => index <= at || !isLeftOut(filter, end));
}
