/** EnvoyFilters made ready: every patch with its value as the wire object that it is put in as. */
import { decodeDynamic, encodeDynamic, fromJsonDynamic, relaxJson } from "@meltemi/protos";
import { type ApplyTo, effectiveOperation, type Operation } from "../../api/envoy-filter/patch-effect.ts";
import { patchValueTypes } from "../../api/envoy-filter/patch-value.ts";
import type { ConfigPatch, EnvoyFilter, PatchMatch } from "../../api/envoy-filter/schema.ts";
import { refOf } from "../../api/object.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { type PartSource, withSources } from "../built.ts";
import { type ExtensionUse, listExtensionUses } from "./extension-uses.ts";

/** One patch, ready to be applied. The same object as long as its EnvoyFilter is the same. */
export interface CompiledPatch {
  readonly source: PartSource;
  /** Place in spec.configPatches. */
  readonly index: number;
  readonly applyTo: ApplyTo;
  readonly operation: Operation;
  readonly context: NonNullable<PatchMatch["context"]>;
  readonly match: PatchMatch;
  /** Of the type that `applyTo` asks for (see patchValueTypes), as Envoy will read it; undefined where it has none. */
  readonly value: object | undefined;
  /** Extensions of Envoy that the value needs. */
  readonly uses: readonly ExtensionUse[];
  /** Why it cannot be applied anywhere; undefined where it can. */
  readonly fault: string | undefined;
}

/** All patches of a filter in their order; undefined for those that are for nothing that exists here. */
export const compileFilter = memoByIdentity((filter: EnvoyFilter): readonly (CompiledPatch | undefined)[] =>
  (filter.spec.configPatches ?? []).map((patch, index) => compilePatch(filter, patch, index)),
);

function compilePatch(filter: EnvoyFilter, patch: ConfigPatch, index: number): CompiledPatch | undefined {
  const { applyTo = "INVALID", match = {} } = patch;
  const { operation = "INVALID", value } = patch.patch ?? {};
  const { context = "ANY" } = match;
  // A waypoint's patches are not even checked.
  if (applyTo === "INVALID" || operation === "INVALID" || context === "WAYPOINT") return undefined;
  const source = { object: refOf(filter), path: `spec.configPatches[${index}]` };
  const compiled = value === undefined ? undefined : compileValue(applyTo, value);
  return {
    source,
    index,
    applyTo,
    operation: effectiveOperation(applyTo, operation),
    context,
    match,
    value: typeof compiled === "object" ? withSources(compiled, [source]) : undefined,
    uses: typeof compiled === "object" ? listExtensionUses(patchValueTypes[applyTo], compiled) : [],
    fault: typeof compiled === "string" ? compiled : undefined,
  };
}

/** The value as it comes back from the wire: what cannot be encoded never meets anything else. */
function compileValue(applyTo: ApplyTo, json: object): object | string {
  const typeName = patchValueTypes[applyTo];
  try {
    const message = fromJsonDynamic(typeName, relaxJson(typeName, json));
    return decodeDynamic(typeName, encodeDynamic(typeName, message));
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
