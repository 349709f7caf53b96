import { objectKey } from "../../lib/message.ts";
import { listMeshOutcomes } from "../../translate/patch/mesh-outcomes.ts";
import type { PatchOutcome } from "../../translate/patch/patch-notes.ts";
import type { DebugPort } from "../ports.ts";
import { type DebugHandler, replyJson } from "./reply.ts";

/** What became of patches on the proxies that are connected now. */
export function readPatchOutcomes(port: DebugPort): readonly PatchOutcome[] {
  const snapshot = port.snapshot();
  if (snapshot === undefined) return [];
  return listMeshOutcomes(
    port.generators,
    snapshot,
    port.listConnections().map(({ proxy }) => proxy),
  );
}

/**
 * All EnvoyFilters with their patches: "applied" to something, "missed" everything that they were for, "leftOut" with the
 * reason, or "unused" where no connected proxy is one that the patch is for. Ours; istiod has no such page.
 */
export const handleEnvoyFilters: DebugHandler = (request) => {
  const { port } = request;
  const outcomes = new Map(
    readPatchOutcomes(port).map((outcome) => {
      const { object, path } = outcome.patch.source;
      return [`${objectKey(object)} ${path}`, outcome];
    }),
  );
  const filters = port.snapshot()?.envoyFilters ?? [];
  return replyJson(
    request,
    filters.map(({ meta: { name, namespace }, spec }) => ({
      name: `${namespace}/${name}`,
      patches: (spec.configPatches ?? []).map(({ applyTo, patch }, index) => ({
        applyTo,
        operation: patch?.operation,
        ...describeOutcome(outcomes.get(`EnvoyFilter/${namespace}/${name} spec.configPatches[${index}]`)),
      })),
    })),
  );
};

function describeOutcome(outcome: PatchOutcome | undefined): { readonly result: string; readonly reason?: string } {
  if (outcome === undefined) return { result: "unused" };
  if (outcome.failure !== undefined) return { result: "leftOut", reason: outcome.failure };
  return { result: outcome.isHit ? "applied" : "missed" };
}
