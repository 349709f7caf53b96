/** TrafficExtension (extensions.istio.io): extends proxies by a module of WebAssembly or a script of Lua. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { attachmentFields } from "../policy-attachment.ts";
import { type DeepReadonly, oneOf, optional, record, text } from "../schema-fields.ts";
import { priorityField, trafficMatchField, wasmFields } from "../wasm-plugin/wasm-fields.ts";

export const trafficExtensionSchema = record({
  selector: attachmentFields.selector,
  targetRefs: attachmentFields.targetRefs,
  phase: optional(
    oneOf(["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"], "Where it stands: before the mesh's own filters of that kind."),
  ),
  priority: priorityField,
  match: trafficMatchField,
  wasm: optional(record(wasmFields, "A module of WebAssembly; one of wasm, lua.")),
  lua: optional(
    record(
      { inlineCode: text("The script, with envoy_on_request or envoy_on_response or both; 64 KiB at most.") },
      "A script of Lua; one of wasm, lua.",
    ),
  ),
});

export type TrafficExtensionSpec = DeepReadonly<Static<typeof trafficExtensionSchema>>;
export type TrafficExtension = ApiObject<"TrafficExtension", TrafficExtensionSpec>;
