import type { Generators } from "../generators.ts";
import { findScopePatches, patchGenerators } from "./patch-generators.ts";
import { createOutcomeReader } from "./patch-outcomes.ts";
import { findExtensionConfig } from "./patched-resources.ts";

/** The same generators, and every result patched by what its key says. A key without patches gets the very results of `base`. */
export function withPatches(base: Generators): Generators {
  const patched = patchGenerators(base);
  return {
    ...base,
    outboundClusters: (view) => patched.outboundClusters(view).built,
    inboundClusters: (view) => patched.inboundClusters(view).built,
    outboundListeners: (view, key) => patched.outboundListeners(view, key).built,
    inboundListeners: (view) => patched.inboundListeners(view).built,
    routeConfiguration: (view, name) => {
      const [built] = patched.routeConfiguration(view, name).built;
      return built ?? base.routeConfiguration(view, name);
    },
    extensionConfig: (view, name) =>
      findExtensionConfig(findScopePatches(view), name) ?? base.extensionConfig(view, name),
    patchOutcomes: createOutcomeReader(patched, base),
  };
}
