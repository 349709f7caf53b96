/** Envoy's runtime as the agent sets it, with what the ProxyConfig changes (pkg/bootstrap/config.go). */
import { type JsonObject, readTextMap } from "../config/json.ts";

const defaults: JsonObject = {
  "re2.max_program_size.error_level": "32768",
  // Istio's listeners rely on it, long after Envoy called the field old.
  "envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": true,
  "envoy.reloadable_features.http_reject_path_with_fragment": false,
  "envoy.reloadable_features.fixed_heap_use_allocated": true,
  "envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update": false,
};

export interface RuntimeOptions {
  /** ProxyConfig in its JSON form. */
  readonly config: JsonObject;
  readonly stripsFragments: boolean;
  /** COMPLIANCE_POLICY */
  readonly compliancePolicy: string;
}

/** Layers of the runtime: an empty value in runtimeValues takes a default away. */
export function buildRuntime({ config, stripsFragments, compliancePolicy }: RuntimeOptions): JsonObject {
  const values: Record<string, JsonObject[string]> = { ...defaults };
  if (compliancePolicy === "fips-140-2") values["envoy.reloadable_features.google_grpc_disable_tls_13"] = true;
  if (!stripsFragments) {
    values["envoy.reloadable_features.http_strip_fragment_from_path_unsafe_if_disabled"] = "false";
  }
  for (const [name, value] of Object.entries(readTextMap(config, "runtimeValues"))) {
    if (value === "") delete values[name];
    else values[name] = value === "true" || value === "false" ? value === "true" : value;
  }
  return {
    layers: [
      { name: "global config", static_layer: values },
      { name: "admin", admin_layer: {} },
    ],
  };
}

const noLimit = 2_147_483_647;
const oldName = "overload.global_downstream_max_connections";

/** How many connections Envoy takes at once: by the proxy's metadata, or else by the runtime's older name. */
export function findConnectionLimit(config: JsonObject): number {
  const metadata = readTextMap(config, "proxyMetadata")["ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS"];
  const runtime = readTextMap(config, "runtimeValues")[oldName];
  const limit = [metadata, runtime].find((text) => text !== undefined && /^\d+$/.test(text));
  return limit === undefined ? noLimit : Number(limit);
}
