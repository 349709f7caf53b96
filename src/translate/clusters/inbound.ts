/** Clusters for traffic to the workload itself (Istio: core/cluster.go buildInboundClusters, row C83). */
import { duration } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ConnectionPool } from "../../api/destination-rule/schema.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { refOf } from "../../api/object.ts";
import type { IngressListener, Sidecar } from "../../api/sidecar/schema.ts";
import { isUnixAddress } from "../../lib/host-port.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { type Protocol, parseProtocol } from "../../lib/protocol.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Service } from "../../model/service.ts";
import { buildAddress, loopbackOf } from "../address.ts";
import type { Built } from "../built.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import { buildInboundClusterName } from "../names.ts";
import type { WorkloadView } from "../scope.ts";
import { buildConnectionLimits } from "./connection-pool.ts";
import { buildHttpOptions, packHttpOptions } from "./http-options.ts";
import { providedByCluster } from "./load-balancer.ts";
import { buildClusterMetadata } from "./metadata.ts";
import { dropDuplicates } from "./outbound.ts";
import { expandStatName, formatStatName } from "./stat-name.ts";
import { buildInboundPassthrough, buildPassthroughBind } from "./static-clusters.ts";
import { type EffectivePolicy, selectPortPolicy } from "./traffic-policy.ts";

// Envoy's longest time (292 years): connections to a workload's own address need no cleaning up.
const cleanupIntervalMs = 9_223_372_035_000;

const memo = createSlotMemo<Built<Cluster>>();

type Target = WorkloadView["targets"][number];

/** Where a cluster sends to: undefined is wherever the connection was going. */
type Destination = { readonly address: string; readonly port: number } | undefined;

type NamedService = Pick<Service, "hostname" | "name" | "namespace" | "registry">;

interface InboundInput {
  readonly view: WorkloadView;
  /** Port in the cluster's name: that of the workload, or the one that a Sidecar listens on. */
  readonly clusterPort: number;
  readonly destination: Destination;
  readonly port: { readonly number: number; readonly name: string; readonly protocol: Protocol };
  /** The service whose rule counts; undefined for a port of a Sidecar that is no service's. */
  readonly service: Service | undefined;
  /** What statistics may be named after: the service, or the Sidecar where there is none. */
  readonly named: NamedService | undefined;
  /** Services that telemetry counts the port's traffic for; none where the first is outside of the mesh. */
  readonly services: readonly NamedService[];
  readonly pool: ConnectionPool | undefined;
  readonly sources: readonly ObjectRef[];
}

/** The clusters of a workload; none for routers, whose traffic is never for themselves. */
export function inboundClusters(view: WorkloadView): readonly Built<Cluster>[] {
  const { snapshot, key } = view.scope;
  if (key.proxyType === "router") return [];
  const ingress = view.scope.sidecar?.spec.ingress ?? [];
  const declared = ingress.map((listener) => planIngress(view, listener));
  const ports = new Set(ingress.map(({ port }) => port.number));
  const mergesServices = ingress.length === 0 || snapshot.features.mergesServicePorts;
  const served = mergesServices ? planTargets(view, ingress.length > 0) : [];
  const inputs = [...declared, ...served.filter(({ clusterPort }) => !ports.has(clusterPort))];
  const built = inputs.filter((input) => input !== undefined).map(buildInbound);
  return dropDuplicates([...built, buildInboundPassthrough(snapshot.mesh, key.ipFamilies)]);
}

/**
 * One cluster for each port of the workload; the first of several services decides, telemetry names them all. None where
 * no traffic is redirected, unless asked for: a listener on the service's own port would be in the application's way.
 */
function planTargets(view: WorkloadView, isAsked: boolean): readonly InboundInput[] {
  if (view.scope.key.interceptionMode === "NONE" && !isAsked) return [];
  const { mode } = view.scope.snapshot.mesh.inboundTrafficPolicy;
  const byPort = Map.groupBy(view.targets, ({ target }) => target.targetPort);
  return [...byPort.entries()].flatMap(([targetPort, targets]) => {
    const [first] = targets;
    if (first === undefined) return [];
    return {
      view,
      clusterPort: targetPort,
      destination: mode === "LOCALHOST" ? { address: loopbackOf(view.scope.key), port: targetPort } : undefined,
      port: portOf(first),
      service: first.service,
      named: first.service,
      services: first.service.meshExternal ? [] : listServicesOfPort(targets, first.target.port),
      pool: view.scope.sidecar?.spec.inboundConnectionPool,
      sources: targets.map(({ service }) => service.object),
    };
  });
}

function planIngress(view: WorkloadView, listener: IngressListener): InboundInput | undefined {
  const { sidecar } = view.scope;
  const { number = 0, name = "", protocol = "" } = listener.port;
  const destination = parseDefaultEndpoint(view, listener.defaultEndpoint ?? "", number);
  if (destination === "malformed") return undefined;
  const target = view.targets.find((candidate) => candidate.target.targetPort === number);
  const service = target?.service;
  return {
    view,
    clusterPort: number,
    destination,
    port: { number, name, protocol: parseProtocol(protocol) },
    service,
    named: service ?? (sidecar && nameAfterSidecar(sidecar)),
    services: service === undefined || service.meshExternal ? [] : [service],
    pool: listener.connectionPool ?? sidecar?.spec.inboundConnectionPool,
    sources: [
      ...(sidecar === undefined ? [] : [refOf(sidecar)]),
      ...(target === undefined ? [] : [target.service.object]),
    ],
  };
}

// By identity, for clusters that are kept compare it.
const nameAfterSidecar = memoByIdentity(({ meta: { name, namespace } }: Sidecar): NamedService => {
  return { hostname: `${name}.${namespace}`, name, namespace, registry: "External" };
});

/** Workloads of the same services share the cluster: it comes back as the same object for all of them. */
function buildInbound(input: InboundInput): Built<Cluster> {
  const { view, clusterPort, destination, port, service, named, services, sources } = input;
  const { snapshot, key } = view.scope;
  const rule = service === undefined ? undefined : view.scope.findDestinationRule(service, "inbound");
  const slot = JSON.stringify([clusterPort, destination, port, key.ipFamilies, sources]);
  const inputs = [service, named, rule?.spec, rule?.sources[0]?.name, input.pool, ...services];
  return memo({ owner: snapshot.mesh, slot }, inputs, () => buildInboundCluster(input, rule));
}

function buildInboundCluster(input: InboundInput, rule: MergedDestinationRule | undefined): Built<Cluster> {
  const { view, clusterPort, destination, port } = input;
  const { snapshot, key } = view.scope;
  const name = buildInboundClusterName(clusterPort);
  const policy = selectInboundPolicy(input, rule?.spec.trafficPolicy, snapshot.mesh);
  const traffic = { protocol: port.protocol, policy, mesh: snapshot.mesh, detectsProtocol: true, mayUpgrade: false };
  const isLocal = destination?.address === "127.0.0.1" || destination?.address === "::1";
  const message: Cluster = {
    name,
    alt_stat_name: formatStatName(statNameOf(input, name)),
    common_lb_config: {},
    ...buildConnectionLimits(policy, snapshot.mesh),
    ...packHttpOptions(buildHttpOptions(traffic, undefined)),
    ...buildDestination(name, destination),
    ...(isLocal ? {} : { upstream_bind_config: buildPassthroughBind(key.ipFamilies, snapshot.features.dualStack) }),
    ...(input.services.length === 0
      ? {}
      : buildClusterMetadata({
          services: input.services,
          rule: rule?.spec.trafficPolicy === undefined ? undefined : rule.sources[0],
        })),
  };
  return { name, message, sources: [...input.sources, ...(rule?.sources ?? [])] };
}

function buildDestination(name: string, destination: Destination): Cluster {
  if (destination === undefined) {
    return { type: "ORIGINAL_DST", ...providedByCluster, cleanup_interval: duration(cleanupIntervalMs) };
  }
  const address = buildAddress(destination.address, destination.port);
  return {
    type: "STATIC",
    lb_policy: "ROUND_ROBIN",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

/**
 * Limits that a Sidecar sets come before those of the service's rule, and these before the mesh's; nothing else of a rule
 * counts on this side.
 */
function selectInboundPolicy(
  { port, pool }: InboundInput,
  policy: Parameters<typeof selectPortPolicy>[0],
  mesh: MeshConfig,
): EffectivePolicy {
  const { connectionPool, retryBudget } = selectPortPolicy(policy, port.number).policy ?? {};
  const limits = pool ?? connectionPool ?? mesh.defaultTrafficPolicy?.connectionPool;
  return {
    ...(limits === undefined ? {} : { connectionPool: limits }),
    ...(retryBudget === undefined ? {} : { retryBudget }),
  };
}

function listServicesOfPort(targets: readonly Target[], servicePort: number): readonly Service[] {
  const byHost = new Map<string, Service>();
  for (const { target, service } of targets) {
    if (target.port === servicePort && !byHost.has(service.hostname)) byHost.set(service.hostname, service);
  }
  return [...byHost.values()];
}

function portOf({ target, portName, protocol }: Target): InboundInput["port"] {
  return { number: target.port, name: portName, protocol };
}

/**
 * "127.0.0.1:PORT", "0.0.0.0:PORT" (the workload's own address), their IPv6 forms, or "unix:///path". Nothing means
 * passing through, which needs redirected traffic: without, it is the same port of localhost.
 */
function parseDefaultEndpoint(view: WorkloadView, text: string, listenPort: number): Destination | "malformed" {
  const passesOn = view.scope.key.interceptionMode !== "NONE";
  if (text === "") return passesOn ? undefined : { address: loopbackOf(view.scope.key), port: listenPort };
  if (isUnixAddress(text)) return { address: text, port: 0 };
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || port === undefined) return "malformed";
  const address = resolveEndpointHost(view, host);
  return address === undefined ? undefined : { address, port: Number(port) };
}

function resolveEndpointHost(view: WorkloadView, host: string): string | undefined {
  const { v4, v6 } = view.scope.key.ipFamilies;
  switch (host) {
    case "0.0.0.0":
      return view.key.addresses.find((address) => !address.includes(":")) ?? "127.0.0.1";
    case "::":
      return view.key.addresses.find((address) => address.includes(":")) ?? "::1";
    case "127.0.0.1":
      return v4 || !v6 ? "127.0.0.1" : "::1";
    case "::1":
      return v6 || !v4 ? "::1" : "127.0.0.1";
    default:
      return undefined;
  }
}

function statNameOf({ view, named, port, clusterPort }: InboundInput, name: string): string {
  const pattern = view.scope.snapshot.mesh.inboundClusterStatName ?? "";
  if (pattern === "" || named === undefined) return name;
  return expandStatName(pattern, { service: named, port, subset: "", targetPort: clusterPort });
}
