/**
 * What of a proxy and its mesh decides about filters, as plain data. Builders of filters read nothing else, so equal
 * facts give equal filters, and listeners of different workloads can be the same object.
 */
import type { MeshNetworks } from "../../api/mesh-config/networks.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { type Features, formatFeatures } from "../../model/features.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { hasExtension } from "../capabilities.ts";
import type { Capabilities, ListenerKey, ScopeKey } from "../scope.ts";

/** Whose side of a connection a listener is on. */
export type ListenerClass = "sidecarInbound" | "sidecarOutbound" | "gateway";

/** What tracing says of the workload; "" where the proxy did not say it. */
export interface WorkloadIdentity {
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly meshId: string;
  readonly namespace: string;
  readonly clusterId: string;
}

/** What TCP filters read. */
export interface ProxyFacts {
  readonly mesh: MeshConfig;
  readonly features: Features;
  /** Extensions of the list below that the proxy does not have. */
  readonly lacking: readonly string[];
  /** Milliseconds after which an idle connection is closed, as the proxy asks; Envoy's own default where undefined. */
  readonly idleTimeoutMs: number | undefined;
  /** Whether new connections are spread evenly over the threads of the proxy (metadata *_LISTENER_EXACT_BALANCE). */
  readonly exactBalance: ScopeKey["exactBalance"];
}

/** What HTTP connection managers read besides. */
export interface FilterFacts extends ProxyFacts {
  readonly acceptHttp10: boolean;
  readonly identity: WorkloadIdentity;
  /** Blocks of addresses, in CIDR notation, that the networks of the mesh are made of; [] where it names none. */
  readonly internalRanges: readonly string[];
}

/** Every extension that listeners name. A proxy that lists its extensions gets none that it does not list. */
const listenerExtensions = [
  "istio.metadata_exchange",
  "istio.alpn",
  "istio.stats",
  "envoy.filters.http.grpc_web",
  "envoy.filters.http.grpc_stats",
  "envoy.filters.http.fault",
  "envoy.filters.http.cors",
  "envoy.filters.http.stateful_session",
  "envoy.filters.network.mongo_proxy",
  "envoy.filters.network.mysql_proxy",
  "envoy.filters.network.redis_proxy",
  "envoy.filters.listener.original_src",
  "envoy.http.stateful_header_formatters.preserve_case",
  "envoy.retry_host_predicates.previous_hosts",
] as const;

export type ListenerExtension = (typeof listenerExtensions)[number];

type Settings = Pick<Snapshot, "mesh" | "features" | "meshNetworks">;

/** Facts of a proxy, for its outbound listeners, its inbound ones or those of a gateway. */
export function deriveFilterFacts(key: ListenerKey, { mesh, features, meshNetworks }: Settings): FilterFacts {
  return deriveFacts(key, mesh, combineSettings(features, meshNetworks));
}

const combineSettings = memoByIdentity((features: Features, { networks = {} }: MeshNetworks) => ({
  features,
  internalRanges: Object.values(networks).flatMap(({ endpoints = [] }) =>
    endpoints.flatMap(({ fromCidr }) => fromCidr || []),
  ),
}));

type CommonFacts = Pick<FilterFacts, "features" | "internalRanges">;

const deriveFacts: (key: ListenerKey, mesh: MeshConfig, common: CommonFacts) => FilterFacts = memoByIdentity(
  (key: ListenerKey, mesh: MeshConfig, common: CommonFacts): FilterFacts => ({
    ...common,
    mesh,
    lacking: listLacking(key.scope.capabilities),
    idleTimeoutMs: key.scope.idleTimeoutMs,
    exactBalance: key.scope.exactBalance,
    acceptHttp10: key.scope.capabilities.acceptHttp10,
    identity: {
      canonicalService: key.canonicalService,
      canonicalRevision: key.canonicalRevision,
      meshId: key.meshId,
      namespace: key.scope.namespace,
      clusterId: key.scope.clusterId,
    },
  }),
);

/** True where the proxy has the extension. */
export function supports(facts: ProxyFacts, extension: ListenerExtension): boolean {
  return !facts.lacking.includes(extension);
}

const listLacking = memoByIdentity((capabilities: Capabilities): readonly string[] =>
  listenerExtensions.filter((name) => !hasExtension(capabilities, name)),
);

/** All facts of one mesh as text: what is built from equal facts is equal. */
export const formatFacts: (facts: FilterFacts) => string = memoByIdentity(
  ({ mesh: _owner, features, ...facts }: FilterFacts): string => `${formatFeatures(features)}${JSON.stringify(facts)}`,
);

/** What listeners of all workloads of a scope have in common, as text. */
export const formatSharedFacts: (facts: FilterFacts) => string = memoByIdentity(
  ({ mesh: _owner, identity: _own, features, ...facts }: FilterFacts): string =>
    `${formatFeatures(features)}${JSON.stringify(facts)}`,
);
