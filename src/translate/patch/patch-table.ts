/** The patches of a key, in the order in which they are applied. */
import type { ApplyTo } from "../../api/envoy-filter/patch-effect.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Capabilities, PatchSelection } from "../scope.ts";
import { type CompiledPatch, compileFilter } from "./compile-filter.ts";
import { listMissing } from "./extension-uses.ts";
import { createLedger, noNotes, type PatchNotes } from "./patch-notes.ts";

/** Where in a proxy something is (Istio: PatchContext). */
export type PatchContext = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

export interface PatchTable {
  readonly context: PatchContext;
  /** Names the context and all patches: tables with equal texts patch alike while their filters stay the same. */
  readonly id: string;
  /** All patches that are for the context and can be applied. */
  readonly all: readonly CompiledPatch[];
  /** Those of `all` for one kind of thing. */
  of(applyTo: ApplyTo): readonly CompiledPatch[];
  /** Patches that this proxy cannot be given. */
  readonly notes: PatchNotes;
}

/** What besides a key decides about its patches. */
export interface PatchSetting {
  readonly snapshot: Snapshot;
  readonly capabilities: Capabilities;
  readonly context: PatchContext;
}

const tables = createSlotMemo<PatchTable>();
const emptyTables = new Map<PatchContext, PatchTable>();

/** The table of a key for one context; a table without patches for the many keys that have none. */
export function findPatches(
  key: { readonly patches?: readonly PatchSelection[] },
  { snapshot, capabilities, context }: PatchSetting,
): PatchTable {
  const { patches: selections = [] } = key;
  if (selections.length === 0) return findEmpty(context);
  return tables({ owner: key, slot: context }, [snapshot], () => {
    const candidates = selections.flatMap((selection) => listSelected(snapshot, selection));
    return buildTable(candidates, capabilities, context);
  });
}

function findEmpty(context: PatchContext): PatchTable {
  let table = emptyTables.get(context);
  if (table === undefined) {
    table = { context, id: context, all: [], of: () => [], notes: noNotes };
    emptyTables.set(context, table);
  }
  return table;
}

function listSelected(snapshot: Snapshot, { namespace, name, patches }: PatchSelection): readonly CompiledPatch[] {
  const filter = snapshot.findObject("EnvoyFilter", namespace, name);
  if (filter === undefined) return [];
  const compiled = compileFilter(filter);
  return patches.flatMap((index) => compiled[index] ?? []);
}

function buildTable(
  candidates: readonly CompiledPatch[],
  capabilities: Capabilities,
  context: PatchContext,
): PatchTable {
  const notes = createLedger();
  const byThing = new Map<ApplyTo, CompiledPatch[]>();
  const all: CompiledPatch[] = [];
  for (const patch of candidates) {
    // Extensions go by name alone, whatever the context.
    if (patch.context !== "ANY" && patch.context !== context && patch.applyTo !== "EXTENSION_CONFIG") continue;
    const fault = patch.fault ?? describeMissing(listMissing(patch.uses, capabilities));
    if (fault !== undefined) {
      notes.fail(patch, fault);
      continue;
    }
    all.push(patch);
    const list = byThing.get(patch.applyTo);
    if (list === undefined) byThing.set(patch.applyTo, [patch]);
    else list.push(patch);
  }
  const names = all.map(({ source, index }) => `${source.object.namespace}/${source.object.name}/${index}`);
  return { context, id: [context, ...names].join(" "), all, of: (applyTo) => byThing.get(applyTo) ?? [], notes };
}

function describeMissing(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : `the proxy does not have ${names.join(", ")}`;
}
