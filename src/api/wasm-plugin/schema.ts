/** WasmPlugin (extensions.istio.io): extends proxies by a module of WebAssembly. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { attachmentFields } from "../policy-attachment.ts";
import { type DeepReadonly, oneOf, optional, record } from "../schema-fields.ts";
import { priorityField, trafficMatchField, wasmFields } from "./wasm-fields.ts";

export const wasmPluginSchema = record({
  ...attachmentFields,
  ...wasmFields,
  phase: optional(
    oneOf(
      ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"],
      "Where it stands: before the mesh's own filters of that kind.",
    ),
  ),
  priority: priorityField,
  match: trafficMatchField,
});

export type WasmPluginSpec = DeepReadonly<Static<typeof wasmPluginSchema>>;
export type WasmPlugin = ApiObject<"WasmPlugin", WasmPluginSpec>;
/** The fields that TrafficExtension.wasm has as well. */
export type WasmModule = Pick<WasmPluginSpec, "url" | "sha256" | "imagePullSecret" | "pluginName" | "vmConfig">;
export type TrafficMatch = NonNullable<WasmPluginSpec["match"]>;
