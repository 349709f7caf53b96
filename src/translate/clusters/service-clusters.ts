/** The clusters of one service: one for each port, and one for each subset of it (Istio: core/cluster.go). */

import { duration, packAny, struct, u32 } from "@meltemi/protos";
import type {
  Cluster,
  Cluster_CommonLbConfig,
  Cluster_DiscoveryType,
  Filter,
} from "@meltemi/protos/envoy/config/cluster/v3";
import type { LocalityLbEndpoints } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { HttpProtocolOptions } from "@meltemi/protos/envoy/extensions/upstreams/http/v3";
import type { Protocol } from "../../lib/protocol.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { servesPort } from "../../model/endpoint.ts";
import { inferNamespaceMtls, type MtlsMode } from "../../model/mtls.ts";
import { keepsSessions, type Service, type ServicePort } from "../../model/service.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Built } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import {
  buildForwardDiscovery,
  buildServiceCache,
  forwardProxyCluster,
  forwardsDynamically,
  selectLookupFamily,
} from "../dns/dynamic-forward.ts";
import { toOptionalDuration } from "../durations.ts";
import { buildLocalityLb, findLocalityRule } from "../endpoints/locality-setting.ts";
import { buildEndpoints } from "../endpoints/service-endpoints.ts";
import { buildDnsSrvClusterName, buildOutboundClusterName } from "../names.ts";
import type { ScopeKey } from "../scope.ts";
import { proxyProtocolSocketName, tlsSocketName } from "../security/transport-socket.ts";
import { buildTransport, type ClusterTls, decideClusterTls, originatesTls } from "./cluster-tls.ts";
import { buildConnectionLimits } from "./connection-pool.ts";
import { isDnsDiscovery, selectDiscovery, selectDiscoveryStages } from "./discovery.ts";
import { buildHttpOptions, type HttpTraffic, packHttpOptions, selectUpstreamHttp } from "./http-options.ts";
import { buildLoadBalancing, isPassthroughBalancer, type LoadBalancing, providedByCluster } from "./load-balancer.ts";
import { buildClusterMetadata } from "./metadata.ts";
import { buildOutlierDetection } from "./outlier-detection.ts";
import { listSubjectAltNames } from "./service-accounts.ts";
import { expandStatName, formatStatName } from "./stat-name.ts";
import { type EffectivePolicy, mergeClusterPolicy } from "./traffic-policy.ts";

/** "outbound": clusters of routes; "sniDnat": those that AUTO_PASSTHROUGH gateways pick by the server name. */
export type ClusterForm = "outbound" | "sniDnat";

const metadataExchangeFilter = "istio.metadata_exchange";
const caresResolver = "envoy.network.dns_resolver.cares";
// gRPC-Web among HTTP, and TLS that is known to carry HTTP, are left out by Istio.
const forwardedProtocols: ReadonlySet<Protocol> = new Set(["HTTP", "HTTP2", "GRPC", "TLS"]);
const dnsJitterMs = 100;
const caresQueriesPerChannel = 100;

interface ServiceInput {
  readonly snapshot: Snapshot;
  readonly key: ScopeKey;
  readonly service: Service;
  readonly rule: MergedDestinationRule | undefined;
  readonly form: ClusterForm;
}

interface ClusterInput extends ServiceInput {
  readonly port: ServicePort;
  /** "" for the whole service. */
  readonly subset: string;
  readonly name: string;
  readonly policy: EffectivePolicy | undefined;
}

const metadataExchange: Filter = {
  name: metadataExchangeFilter,
  typed_config: packAny("udpa.type.v1.TypedStruct", {
    type_url: "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
    value: struct({ enable_discovery: true, protocol: "istio-peer-exchange" }),
  }),
};
// One object for all: clusters that are kept compare it by identity.
const metadataExchangeFilters: Pick<Cluster, "filters"> = { filters: [metadataExchange] };
const noFilters: Pick<Cluster, "filters"> = {};

const memo = createSlotMemo<readonly Built<Cluster>[]>(64);

/**
 * Clusters of a service in the order of its ports, each followed by its subsets. The same objects come back while the
 * service, its rule, the mesh and what they read of endpoints and policies stay the same.
 */
export function buildServiceClusters(input: ServiceInput): readonly Built<Cluster>[] {
  const { snapshot, key, service, rule } = input;
  if (service.resolution === "alias") return [];
  const isDns = isDnsDiscovery(selectDiscovery(service, key.proxyType));
  const inputs = [
    rule?.spec,
    rule?.sources[0]?.name,
    snapshot.mesh,
    // As text: other endpoints of the same identities make no other cluster.
    listSubjectAltNames(snapshot, service).join(),
    // Endpoints stand in the cluster itself only where the proxy looks up names.
    isDns ? snapshot.endpoints.list(service.hostname, service.namespace) : undefined,
    isDns ? snapshot.peerAuthentications : undefined,
    isDns ? snapshot.networkGateways : undefined,
  ];
  return memo({ owner: service, slot: formatSlot(input, isDns) }, inputs, () => buildAll(input));
}

/** True where the proxy and its peers tell each other who they are. */
export function exchangesMetadata({ capabilities }: ScopeKey): boolean {
  return hasExtension(capabilities, metadataExchangeFilter);
}

/** The filter by which Istio's proxies tell each other who they are; none for proxies without it. */
export function buildClusterFilters(key: ScopeKey): Pick<Cluster, "filters"> {
  return exchangesMetadata(key) ? metadataExchangeFilters : noFilters;
}

/** All that clusters of a service read of the key and of policies, as text. */
function formatSlot({ snapshot, key, service, rule, form }: ServiceInput, isDns: boolean): string {
  const has = (name: string): boolean => hasExtension(key.capabilities, name);
  const bits = [
    form,
    key.proxyType,
    ...[metadataExchangeFilter, tlsSocketName, proxyProtocolSocketName, forwardProxyCluster].map(has),
    JSON.stringify([key.ipFamilies, key.clientCertificate]),
    inferMtls(snapshot, service),
    ...(mayPassThrough(service, rule) ? service.ports.map((port) => hasPlainEndpoint(snapshot, service, port)) : []),
  ];
  if (!isDns) return bits.join();
  return [
    ...bits,
    has(caresResolver),
    JSON.stringify([key.locality, key.network, key.networkView, key.clusterId, key.nodeName, key.labels]),
  ].join();
}

function buildAll(input: ServiceInput): readonly Built<Cluster>[] {
  const { service, rule } = input;
  // Names that are looked up have no labels.
  const subsets = forwardsDynamically(service) ? [""] : ["", ...(rule?.spec.subsets ?? []).map(({ name }) => name)];
  const sources = [service.object, ...(rule?.sources ?? [])];
  return service.ports
    .filter(({ protocol }) => protocol !== "UDP")
    .flatMap((port) => {
      const prepared = subsets.map((subset) => prepare(input, port, subset));
      // Where the whole service has nothing to look up, its subsets have not either.
      const [whole] = prepared;
      return whole === undefined || buildDiscovery(whole, undefined) === undefined ? [] : prepared.map(buildCluster);
    })
    .filter((message) => message !== undefined)
    .map((message) => ({ name: message.name ?? "", message, sources }));
}

function prepare(input: ServiceInput, port: ServicePort, subset: string): ClusterInput {
  const { service, rule, form, snapshot } = input;
  const buildName = form === "outbound" ? buildOutboundClusterName : buildDnsSrvClusterName;
  const policy = mergeClusterPolicy(rule?.spec, { port: port.number, subset }, snapshot.mesh);
  return { ...input, port, subset, policy, name: buildName(service.hostname, port.number, subset) };
}

/** One cluster; undefined where there is nothing to look up, or where TLS that is asked for cannot be had. */
function buildCluster(input: ClusterInput): Cluster | undefined {
  const { snapshot, key, service, port, policy, name, rule, subset, form } = input;
  const traffic: HttpTraffic = {
    protocol: port.protocol,
    policy,
    mesh: snapshot.mesh,
    detectsProtocol: key.proxyType === "sidecar",
    mayUpgrade: true,
  };
  const tls = form === "sniDnat" ? ({ kind: "plain" } as const) : decideTls(input, traffic);
  const proxyProtocol = form === "sniDnat" ? undefined : policy?.proxyProtocol;
  if (tls.kind === "refused" || !hasSockets(input, tls, proxyProtocol !== undefined)) return undefined;
  const options = buildHttpOptions(traffic, tls.kind === "plain" ? undefined : tls.httpOptions);
  const discovery = buildDiscovery(input, options);
  if (discovery === undefined) return undefined;
  const knowsEndpoints = discovery.type !== "ORIGINAL_DST";
  const picksEndpoints = knowsEndpoints && discovery.cluster_type === undefined;
  return {
    name,
    ...discovery,
    alt_stat_name: formatStatName(statNameOf(input)),
    ...buildConnectionLimits(policy, snapshot.mesh),
    ...(policy?.outlierDetection === undefined
      ? {}
      : { outlier_detection: buildOutlierDetection(policy.outlierDetection) }),
    ...(discovery.cluster_type === undefined ? { common_lb_config: buildCommonLb(input) } : {}),
    ...(picksEndpoints ? buildBalancer(input) : providedByCluster),
    ...packHttpOptions(options),
    ...buildTransport(tls, proxyProtocol === undefined ? undefined : (proxyProtocol.version ?? "V1"), knowsEndpoints),
    ...buildClusterFilters(key),
    ...buildClusterMetadata({
      services: discovery.cluster_type === undefined ? [service] : [],
      rule: rule?.sources[0],
      subset,
      external: subset === "" && service.meshExternal,
      keepsAlpn: originatesTls(policy?.tls),
    }),
  };
}

/** Discovery type and what goes with it; undefined for names to look up of which there are none. */
function buildDiscovery(input: ClusterInput, options: HttpProtocolOptions | undefined): Cluster | undefined {
  const { service, port, key, rule, name, subset } = input;
  if (forwardsDynamically(service)) return buildDynamicForward(input, options);
  const stages = selectDiscoveryStages(service, key.proxyType, { rule: rule?.spec, port: port.number, subset });
  const { built, final: type } = stages;
  switch (built) {
    case "STRICT_DNS":
    case "LOGICAL_DNS": {
      const endpoints = listInlineEndpoints(input, built);
      if (endpoints.length === 0) return undefined;
      const assignment = type === built ? { load_assignment: { cluster_name: name, endpoints } } : {};
      return { ...buildDnsOptions(input), type, ...assignment };
    }
    case "ORIGINAL_DST": {
      const override = service.resolution === "passthrough" ? port.targetPort : undefined;
      const isOverridden = service.registry === "External" && typeof override === "number" && override > 0;
      return isOverridden ? { type, original_dst_lb_config: { upstream_port_override: u32(override) } } : { type };
    }
    default:
      return type === "EDS" ? { type, eds_cluster_config: buildEdsConfig(name) } : { type };
  }
}

/**
 * Looks up the host that each request or server name says; undefined for protocols that say none (Istio: resolution
 * DYNAMIC_DNS with a wildcard).
 */
function buildDynamicForward(
  { snapshot, service, port, key, policy }: ClusterInput,
  options: HttpProtocolOptions | undefined,
): Cluster | undefined {
  if (!forwardedProtocols.has(port.protocol)) return undefined;
  if (!hasExtension(key.capabilities, forwardProxyCluster)) return undefined;
  const { mode = "DISABLE", insecureSkipVerify = false, sni = "" } = policy?.tls ?? {};
  const isInsecure = mode !== "DISABLE" && (insecureSkipVerify || sni !== "");
  const { auto_sni = false, auto_san_validation = false } = options?.upstream_http_protocol_options ?? {};
  // Envoy refuses HTTP options that do not send and check the server's name, unless it is told that they need not.
  const isIncomplete = options !== undefined && !(auto_sni && auto_san_validation);
  const cache = buildServiceCache(service, selectLookupFamily(key, snapshot.features));
  return buildForwardDiscovery(cache, isInsecure || isIncomplete);
}

function buildEdsConfig(name: string): Cluster["eds_cluster_config"] {
  return {
    service_name: name,
    // 0s: a cluster waits for its endpoints however long they take, instead of starting without any.
    eds_config: { ads: {}, initial_fetch_timeout: duration(0), resource_api_version: "V3" },
  };
}

function listInlineEndpoints(input: ClusterInput, type: Cluster_DiscoveryType): readonly LocalityLbEndpoints[] {
  const { snapshot, key, service, port, subset, rule, form } = input;
  const onlyMtls = form === "sniDnat";
  const groups = buildEndpoints(snapshot, key, { service, port, subset, rule, place: "inline", onlyMtls });
  if (type === "STRICT_DNS") return groups;
  // Envoy refuses a LOGICAL_DNS cluster of more than one name, and with it the whole update.
  const first = groups.find(({ priority = 0 }) => priority === 0);
  const [endpoint] = first?.lb_endpoints ?? [];
  return first === undefined || endpoint === undefined ? [] : [{ ...first, lb_endpoints: [endpoint] }];
}

function buildDnsOptions({ snapshot, key, service }: ClusterInput): Omit<Cluster, "type"> {
  const refreshRate = toOptionalDuration(snapshot.mesh.dnsRefreshRate);
  const resolver = {
    name: caresResolver,
    typed_config: packAny("envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", {
      udp_max_queries: u32(caresQueriesPerChannel),
    }),
  };
  return {
    dns_lookup_family: service.racesConnections === true ? "ALL" : selectLookupFamily(key, snapshot.features),
    ...(refreshRate === undefined ? {} : { dns_refresh_rate: refreshRate }),
    // Spreads the look-ups of a thousand proxies that started together.
    dns_jitter: duration(dnsJitterMs),
    respect_dns_ttl: true,
    ...(hasExtension(key.capabilities, caresResolver) ? { typed_dns_resolver_config: resolver } : {}),
  };
}

// Commands of Redis go to the endpoint that their key belongs to.
const byKey: LoadBalancing = { lb_policy: "MAGLEV" };

function buildBalancer({ snapshot, port, policy }: ClusterInput): LoadBalancing {
  const spreadsKeys = snapshot.features.redisFilter && port.protocol === "Redis";
  return spreadsKeys ? byKey : buildLoadBalancing(policy?.loadBalancer);
}

function buildCommonLb({ snapshot, service, policy, subset, form }: ClusterInput): Cluster_CommonLbConfig {
  const { minHealthPercent = 0 } = policy?.outlierDetection ?? {};
  const spreads = service.trafficDistribution !== undefined && service.trafficDistribution !== "Any";
  return {
    // Zero turns panic off: endpoints that are not ready are sent too and must not be used whatever their number.
    healthy_panic_threshold: minHealthPercent > 0 && !spreads ? { value: minHealthPercent } : {},
    ...buildLocalityLb(findLocalityRule(service, policy, snapshot.mesh)),
    ...(subset === "" && form === "outbound" && keepsSessions(service, snapshot.features)
      ? { override_host_status: { statuses: ["HEALTHY", "DRAINING", "UNKNOWN", "DEGRADED"] } }
      : {}),
  };
}

function decideTls(input: ClusterInput, traffic: HttpTraffic): ClusterTls {
  const { snapshot, key, service, port, subset, policy, rule } = input;
  const forwards = forwardsDynamically(service);
  const tls = decideClusterTls({
    service,
    mesh: snapshot.mesh,
    proxyType: key.proxyType,
    tls: policy?.tls,
    ruleSelectsWorkloads: rule?.spec.workloadSelector !== undefined,
    takesMtls: takesMutualTls(input),
    subjectAltNames: forwards ? [] : listSubjectAltNames(snapshot, service),
    sni: forwards ? "" : buildDnsSrvClusterName(service.hostname, port.number, subset),
    http2: selectUpstreamHttp(traffic) === "http2",
    exchangesMetadata: exchangesMetadata(key),
    forwardsDynamically: forwards,
    ownCertificate: key.clientCertificate,
  });
  // Nobody asked for mutual TLS that comes by itself: a proxy that cannot do TLS goes without.
  return tls.kind === "auto" && !hasExtension(key.capabilities, tlsSocketName) ? { kind: "plain" } : tls;
}

/** A hint from policies of namespace and mesh. Where the client picks the address, all endpoints must take mutual TLS. */
function takesMutualTls({ snapshot, service, port, subset, rule }: ClusterInput): boolean {
  const policy =
    subset === "" ? rule?.spec.trafficPolicy : rule?.spec.subsets?.find(({ name }) => name === subset)?.trafficPolicy;
  const passesThrough = service.resolution === "passthrough" || isPassthroughBalancer(policy?.loadBalancer);
  if (passesThrough && hasPlainEndpoint(snapshot, service, port)) return false;
  return inferMtls(snapshot, service) !== "DISABLE";
}

function inferMtls({ peerAuthentications, mesh }: Snapshot, { namespace }: Service): MtlsMode {
  return inferNamespaceMtls(peerAuthentications, { namespace, rootNamespace: mesh.rootNamespace });
}

function mayPassThrough(service: Service, rule: MergedDestinationRule | undefined): boolean {
  const policies = [rule?.spec.trafficPolicy, ...(rule?.spec.subsets ?? []).map(({ trafficPolicy }) => trafficPolicy)];
  return service.resolution === "passthrough" || policies.some((policy) => isPassthroughBalancer(policy?.loadBalancer));
}

/** True where an endpoint of the port has no proxy, or where there is no endpoint at all. */
function hasPlainEndpoint(snapshot: Snapshot, service: Service, port: ServicePort): boolean {
  const endpoints = snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter((endpoint) => servesPort(endpoint, port));
  return endpoints.length === 0 || endpoints.some(({ tlsMode }) => tlsMode === "disabled");
}

/** False where the proxy cannot do what the rule asks for: no cluster is safer than one in plain text. */
function hasSockets({ key }: ClusterInput, tls: ClusterTls, proxyProtocol: boolean): boolean {
  const needed = [
    ...(tls.kind === "plain" ? [] : [tlsSocketName]),
    ...(proxyProtocol ? [proxyProtocolSocketName] : []),
  ];
  return needed.every((name) => hasExtension(key.capabilities, name));
}

function statNameOf({ snapshot, service, port, subset, name }: ClusterInput): string {
  const pattern = snapshot.mesh.outboundClusterStatName ?? "";
  // Istio names these by themselves.
  if (pattern === "" || forwardsDynamically(service)) return name;
  return expandStatName(pattern, { service, port, subset, targetPort: 0 });
}
