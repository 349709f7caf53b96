import type { ProxyConfig } from "../api/mesh-config/schema.ts";
import type { Labels } from "../api/object.ts";
import type { Locality } from "./endpoint.ts";

export type ProxyType = "sidecar" | "router";

/** Version of Istio's data plane that a proxy claims, from metadata ISTIO_VERSION. */
export interface IstioVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/**
 * A connected proxy as its node message describes it (node id `type~ip~name.namespace~domain` and metadata; Istio:
 * pilot/pkg/model/context.go). Nothing here is trusted for secrets: identities come from credentials.
 */
export interface Proxy {
  /** `name.namespace`, third part of the node id. */
  readonly id: string;
  /** The whole node id. */
  readonly nodeId: string;
  readonly type: ProxyType;
  /** Never empty. */
  readonly addresses: readonly string[];
  readonly namespace: string;
  /** Such as "bookinfo.svc.cluster.local". */
  readonly dnsDomain: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly serviceAccount: string;
  readonly clusterId: string;
  readonly meshId: string;
  readonly network: string;
  /** Networks of which it wants to know endpoints (REQUESTED_NETWORK_VIEW); absent: all. */
  readonly networkView?: readonly string[];
  /** True where it wants to know its own kind (ENABLE_SELF_DISCOVERY, for zone-aware routing). */
  readonly discoversItself?: boolean;
  readonly locality: Locality;
  readonly nodeName: string;
  readonly workloadName: string;
  readonly istioVersion: IstioVersion | undefined;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly httpProxyPort: number | undefined;
  readonly acceptHttp10: boolean;
  /** False where the proxy may not bind ports under 1024. */
  readonly privileged: boolean;
  readonly dnsCapture: boolean;
  readonly dnsAutoAllocate: boolean;
  /** "grpc" for proxyless gRPC clients. */
  readonly generator: string | undefined;
  /** Names of the extensions the proxy says it has (node.extensions); undefined where it lists none. */
  readonly extensions: ReadonlySet<string> | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** Whether new connections are spread evenly over the threads of the proxy. */
  readonly exactBalance: { readonly inbound: boolean; readonly outbound: boolean };
  /** What the proxy says it was started with; undefined where it says nothing that can be read. */
  readonly config?: ProxyConfig;
  readonly userAgent: string;
  /** All metadata as it came, for debugging and for rules that match on metadata. */
  readonly metadata: { readonly [name: string]: unknown };
}
