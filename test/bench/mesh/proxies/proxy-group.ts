import type { ProxyNode } from "./simulated-proxy.ts";

/** Proxies of one namespace that get the same. */
export interface ProxyGroup {
  readonly name: string;
  readonly namespace: string;
  readonly count: number;
  /** A sidecar where not given. */
  readonly kind?: "sidecar" | "router";
  readonly labels?: Readonly<Record<string, string>>;
  /** Proxies stand beside endpoints of services, and have listeners of their own. */
  readonly hasWorkloads?: boolean;
  /** Address of the proxy with an index among all; one that no service has where not given. */
  readonly addresses?: readonly string[];
}

/** The node of the proxy with an index among all. */
export function buildNode(group: ProxyGroup, index: number): ProxyNode {
  const { namespace, kind = "sidecar", labels, addresses } = group;
  const ip = addresses?.[index] ?? `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  const struct = (fields: Readonly<Record<string, string>>): object => ({
    fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, { string_value: value }])),
  });
  const { fields } = struct({
    NAMESPACE: namespace,
    CLUSTER_ID: "Kubernetes",
    ISTIO_VERSION: "1.31.0",
    INSTANCE_IPS: ip,
  }) as { readonly fields: object };
  return {
    id: `${kind}~${ip}~client-${index}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { fields: { ...fields, ...(labels === undefined ? {} : { LABELS: { struct_value: struct(labels) } }) } },
  };
}
