/** Who this proxy says it is (docs: core.v3.Node). */
import { type Json, struct, structToJson } from "@meltemi/protos";
import type { Extension, Node } from "@meltemi/protos/envoy/config/core/v3";

/** What the command line says over the bootstrap's node. */
export interface NodeOverrides {
  readonly id?: string | undefined;
  readonly cluster?: string | undefined;
  readonly zone?: string | undefined;
  readonly metadata?: { readonly [key: string]: Json } | undefined;
}

export interface NodeOptions {
  readonly overrides: NodeOverrides | undefined;
  /** As "1.2.3". */
  readonly version: string;
  readonly extensions: readonly Extension[];
}

/** What control planes may rely on: endpoints are not over-provisioned to by themselves, resources may be wrapped. */
const clientFeatures = ["envoy.lb.does_not_support_overprovisioning", "xds.config.resource-in-sotw"];

export function buildNode(node: Node | undefined, { overrides = {}, version, extensions }: NodeOptions): Node {
  const { id, cluster, zone, metadata } = overrides;
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return {
    ...node,
    ...(id === undefined ? {} : { id }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(zone === undefined ? {} : { locality: { ...node?.locality, zone } }),
    ...(metadata === undefined ? {} : { metadata: struct({ ...structToJson(node?.metadata ?? {}), ...metadata }) }),
    user_agent_name: "meltemi-proxy",
    user_agent_build_version: { version: { major_number: major, minor_number: minor, patch } },
    client_features: [...new Set([...(node?.client_features ?? []), ...clientFeatures])],
    extensions,
  };
}
