/** What becomes of the patches of a proxy, and of all proxies together. */
import { memoByIdentity } from "../../lib/memo.ts";
import type { Message } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Generators } from "../generators.ts";
import type { ListenerKey, ScopeView, WorkloadView } from "../scope.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import {
  findListenerPatches,
  findScopePatches,
  findWorkloadPatches,
  type PatchedGenerators,
} from "./patch-generators.ts";
import { createLedger, type PatchNotes, type PatchOutcome } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { listExtensionConfigs } from "./patched-resources.ts";

/** Reads the outcomes of all patches that are for a workload's proxy. Results are made once for each view. */
export function createOutcomeReader(
  patched: PatchedGenerators,
  { routeNames }: Pick<Generators, "routeNames">,
): (view: WorkloadView) => readonly PatchOutcome[] {
  const ofScope = memoByIdentity((view: ScopeView): readonly PatchOutcome[] => {
    const table = findScopePatches(view);
    if (isEmpty(table)) return [];
    const routes = routeNames(view).map((name) => patched.routeConfiguration(view, name).notes);
    return listOutcomes(table, [patched.outboundClusters(view).notes, ...routes, noteExtensions(table)]);
  });
  const listenerMemo = createSlotMemo<readonly PatchOutcome[]>(Number.POSITIVE_INFINITY);
  const ofListener = (view: ScopeView, key: ListenerKey): readonly PatchOutcome[] =>
    listenerMemo({ owner: view, slot: key.id }, [], () => {
      const table = findListenerPatches(view, key);
      return isEmpty(table) ? [] : listOutcomes(table, [patched.outboundListeners(view, key).notes]);
    });
  const ofWorkload = memoByIdentity((view: WorkloadView): readonly PatchOutcome[] => {
    const table = findWorkloadPatches(view);
    if (isEmpty(table)) return [];
    return listOutcomes(table, [patched.inboundClusters(view).notes, patched.inboundListeners(view).notes]);
  });
  return (view) =>
    mergeOutcomes([...ofScope(view.scope), ...ofListener(view.scope, view.key.listener), ...ofWorkload(view)]);
}

/** Outcomes of several proxies, or of several keys of one: a patch is a hit where it is one anywhere. */
export function mergeOutcomes(outcomes: Iterable<PatchOutcome>): readonly PatchOutcome[] {
  const merged = new Map<CompiledPatch, PatchOutcome>();
  for (const outcome of outcomes) {
    const known = merged.get(outcome.patch);
    merged.set(outcome.patch, {
      patch: outcome.patch,
      isHit: outcome.isHit || known?.isHit === true,
      failure: outcome.failure ?? known?.failure,
    });
  }
  return [...merged.values()];
}

/** A warning for every patch that was left out somewhere, or that found nothing anywhere. */
export function listPatchMessages(outcomes: readonly PatchOutcome[]): readonly Message[] {
  return outcomes.flatMap(({ patch, isHit, failure }): readonly Message[] => {
    const { object, path } = patch.source;
    const base = { level: "warning", object, path } as const;
    if (failure !== undefined) return [{ ...base, code: "patch-left-out", text: `is left out: ${failure}` }];
    if (isHit) return [];
    const text = `finds nothing: no connected proxy that it is for has such a ${patch.applyTo}`;
    return [{ ...base, code: "patch-without-effect", text }];
  });
}

function isEmpty({ all, notes }: PatchTable): boolean {
  return all.length === 0 && notes.failures.size === 0;
}

function noteExtensions(table: PatchTable): PatchNotes {
  const ledger = createLedger();
  const used = new Set(listExtensionConfigs(table).values());
  for (const patch of table.of("EXTENSION_CONFIG")) {
    if (used.has(patch)) ledger.hit(patch);
    else if (patch.operation === "ADD") ledger.fail(patch, "an earlier patch adds a configuration of this name");
  }
  return ledger;
}

function listOutcomes(table: PatchTable, notes: readonly PatchNotes[]): readonly PatchOutcome[] {
  const ledger = createLedger();
  for (const each of [table.notes, ...notes]) ledger.add(each);
  return [...table.notes.failures.keys(), ...table.all].map((patch) => ({
    patch,
    isHit: ledger.hits.has(patch),
    failure: ledger.failures.get(patch),
  }));
}
