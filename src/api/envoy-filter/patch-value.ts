/** Checks what an EnvoyFilter's patch says against the type of Envoy's that it is read as. */
import { findJsonFaults, type JsonFault } from "@meltemi/protos";
import type { Findings, Path } from "../findings.ts";
import type { ConfigPatch } from "./schema.ts";
import { undescribedPackages } from "./undescribed-packages.ts";

type ApplyTo = NonNullable<ConfigPatch["applyTo"]>;
type PatchValue = NonNullable<NonNullable<ConfigPatch["patch"]>["value"]>;

/** Envoy's type of what each patch holds. Istio: pkg/config/xds/xds.go, BuildXDSObjectFromStruct. */
export const patchValueTypes = {
  LISTENER: "envoy.config.listener.v3.Listener",
  FILTER_CHAIN: "envoy.config.listener.v3.FilterChain",
  NETWORK_FILTER: "envoy.config.listener.v3.Filter",
  HTTP_FILTER: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
  ROUTE_CONFIGURATION: "envoy.config.route.v3.RouteConfiguration",
  VIRTUAL_HOST: "envoy.config.route.v3.VirtualHost",
  HTTP_ROUTE: "envoy.config.route.v3.Route",
  CLUSTER: "envoy.config.cluster.v3.Cluster",
  EXTENSION_CONFIG: "envoy.config.core.v3.TypedExtensionConfig",
  BOOTSTRAP: "envoy.config.bootstrap.v3.Bootstrap",
  LISTENER_FILTER: "envoy.config.listener.v3.ListenerFilter",
} as const satisfies Readonly<Record<Exclude<ApplyTo, "INVALID">, string>>;

/** Things that need a configuration with a type: their names alone say nothing to Envoy. */
const namedOnly: ReadonlySet<ApplyTo> = new Set<ApplyTo>([
  "NETWORK_FILTER",
  "HTTP_FILTER",
  "EXTENSION_CONFIG",
  "LISTENER_FILTER",
]);

/**
 * Checks a patch's value. Fields that are not known are a warning: the proxy may be newer than what is known here. Types
 * of packages without a description are taken as they are, all other unknown types are errors.
 */
export function checkPatchValue(
  value: PatchValue,
  { applyTo, path }: { readonly applyTo: Exclude<ApplyTo, "INVALID">; readonly path: Path },
  findings: Findings,
): void {
  const faults = findJsonFaults(patchValueTypes[applyTo], value).filter((fault) => !isUndescribed(fault));
  for (const fault of faults) {
    const at = [...path, ...fault.path];
    if (fault.kind === "unknown-field") findings.warning(at, fault.reason, "unknown-field");
    else if (fault.kind === "unknown-type" && /\.v2(alpha\d*)?\./.test(fault.typeName ?? "")) {
      findings.error(at, `${fault.reason}: use the type of Envoy's API v3 instead`, "type");
    } else findings.error(at, fault.reason, fault.kind === "unknown-type" ? "type" : "wrong-type");
  }
  const hasType = ["typed_config", "typedConfig", "config_discovery", "configDiscovery"].some(
    (field) => (value[field] ?? undefined) !== undefined,
  );
  if (namedOnly.has(applyTo) && !hasType) {
    findings.warning(path, "has no typed_config: Envoy does not find extensions by name", "deprecated");
  }
}

function isUndescribed({ kind, typeName = "" }: JsonFault): boolean {
  // A package ends where the first name with a capital begins.
  return kind === "unknown-type" && undescribedPackages.has(typeName.replace(/\.[A-Z].*$/, ""));
}
