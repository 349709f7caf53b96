import { Gauge, type Registry } from "prom-client";
import type { CompiledPatch } from "../translate/patch/compile-filter.ts";
import type { PatchOutcome } from "../translate/patch/patch-notes.ts";
import { readPatchOutcomes } from "./debug/envoy-filter-page.ts";
import type { DebugPort } from "./ports.ts";

// istiod's words (networking/core/envoyfilter/monitoring.go); the last one is ours.
const patchTypes: Readonly<Record<Exclude<CompiledPatch["applyTo"], "BOOTSTRAP">, string>> = {
  CLUSTER: "cluster",
  LISTENER: "listener",
  LISTENER_FILTER: "listenerfilter",
  FILTER_CHAIN: "filterchain",
  NETWORK_FILTER: "networkfilter",
  HTTP_FILTER: "httpfilter",
  ROUTE_CONFIGURATION: "route",
  HTTP_ROUTE: "route",
  VIRTUAL_HOST: "vhost",
  EXTENSION_CONFIG: "extensionconfig",
};

/**
 * Adds the gauge of patches, by EnvoyFilter ("namespace/name") and type: 1 where one of that type was applied, 0 where none
 * found anything. Result "error" counts those that were left out. Read from the connected proxies when somebody asks.
 */
export function addPatchGauge(registry: Registry, debug: DebugPort): void {
  new Gauge({
    name: "pilot_envoy_filter_status",
    help: "Status of Envoy filters whether it was applied or errored.",
    labelNames: ["name", "patch", "result"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { patch, isHit, failure } of readPatchOutcomes(debug)) {
        const labels = labelsOf(patch);
        if (failure === undefined) this.inc({ ...labels, result: "applied" }, 0);
        if (isHit) this.set({ ...labels, result: "applied" }, 1);
        if (failure !== undefined) this.inc({ ...labels, result: "error" }, 1);
      }
    },
  });
}

function labelsOf({ applyTo, source }: PatchOutcome["patch"]): { readonly name: string; readonly patch: string } {
  const patch = applyTo === "BOOTSTRAP" ? "" : patchTypes[applyTo];
  return { name: `${source.object.namespace}/${source.object.name}`, patch };
}
