/** What telemetry and EnvoyFilters read of a cluster: filter_metadata "istio" (Istio: networking/util, row C15). */

import { type Json, struct } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ObjectRef } from "../../lib/message.ts";
import { formatConfigPath } from "../config-path.ts";

export interface ClusterMetadata {
  readonly services: readonly { readonly hostname: string; readonly name: string; readonly namespace: string }[];
  /** The rule that shaped the cluster. */
  readonly rule?: ObjectRef | undefined;
  readonly subset?: string | undefined;
  readonly external?: boolean | undefined;
  /** True where the rule originates TLS: the proxy must then not replace the list of protocols it offers. */
  readonly keepsAlpn?: boolean | undefined;
}

export function buildClusterMetadata(metadata: ClusterMetadata): Pick<Cluster, "metadata"> {
  const { rule, subset = "", external = false, keepsAlpn = false } = metadata;
  const services: readonly Json[] = metadata.services.map(({ hostname, name, namespace }) => ({
    host: hostname,
    name,
    namespace,
  }));
  const known = {
    services: services.length === 0 ? undefined : services,
    config: rule === undefined ? undefined : formatConfigPath(rule),
    subset: subset === "" ? undefined : subset,
    external: external ? true : undefined,
    alpn_override: keepsAlpn ? "false" : undefined,
  };
  if (Object.values(known).every((value) => value === undefined)) return {};
  return { metadata: { filter_metadata: { istio: struct(known) } } };
}
