/**
 * Where connections of one rule go, as data: listeners make a TCP proxy of it. Rules: Istio core/networkfilter.go
 * (buildOutboundNetworkFilters).
 */

import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import type { TrafficPolicy } from "../../api/destination-rule/schema.ts";
import type { RouteDestination } from "../../api/virtual-service/schema.ts";
import { joinHostPort } from "../../lib/host-port.ts";
import type { ObjectRef } from "../../lib/message.ts";
import type { Service } from "../../model/service.ts";
import { expandStatName } from "../clusters/stat-name.ts";
import { buildOutboundClusterName } from "../names.ts";
import { buildDestinationCluster, destinationsOfView } from "../routes/destinations.ts";
import type { ScopeView } from "../scope.ts";

/** An HTTP tunnel that the connections are sent through. */
export interface L4Tunnel {
  /** `host:port` to ask the tunnel for. */
  readonly hostname: string;
  readonly usesPost: boolean;
}

export interface L4Target {
  /** One cluster without weight, or several with weights. Never empty. */
  readonly clusters: readonly { readonly name: string; readonly weight: number | undefined }[];
  readonly statPrefix: string;
  /** Settings of the first destination's rule, as text durations; undefined where none is set. */
  readonly idleTimeout: string | undefined;
  readonly maxConnectionDuration: string | undefined;
  /** True where the endpoint is picked by the hash of the client's address. */
  readonly hashesSourceIp: boolean;
  readonly tunnel: L4Tunnel | undefined;
  /** The names that handshakes say are looked up in this cache, to connect to the port; absent for known services. */
  readonly forward?: { readonly cache: DnsCacheConfig; readonly port: number };
}

/** What a target is made for. */
export interface L4TargetContext {
  readonly view: ScopeView;
  /** Port that connections are addressed to; destinations without port of services with several go there. */
  readonly port: number;
  /** Its name, for statistics; that of the destination's port where it is not given. */
  readonly portName?: string;
}

/** The target of a rule's weighted destinations; `rule` names statistics of several. Undefined without a destination. */
export function planTarget(
  routes: readonly RouteDestination[],
  rule: ObjectRef,
  context: L4TargetContext,
): L4Target | undefined {
  const { view, port, portName } = context;
  const lookup = { port, findDestination: destinationsOfView(view) };
  const [first] = routes;
  if (first === undefined) return undefined;
  const service = view.findService(first.destination.host);
  if (routes.length === 1) {
    const cluster = buildDestinationCluster(first.destination, lookup);
    const subset = first.destination.subset ?? "";
    const statPrefix = formatStatPrefix(cluster, { service, port, portName, subset }, view);
    return { clusters: [{ name: cluster, weight: undefined }], statPrefix, ...readPolicy(view, service, subset) };
  }
  const weighted = routes.filter(({ weight = 0 }) => weight > 0);
  if (weighted.length === 0) return undefined;
  const clusters = weighted.map(({ destination, weight }) => ({
    name: buildDestinationCluster(destination, lookup),
    weight,
  }));
  // A listener has one hash policy and one tunnel: those of the first destination, without regard to subsets.
  return { clusters, statPrefix: `${rule.name}.${rule.namespace}`, ...readPolicy(view, service, "") };
}

/** The target of a service that no rule is for: its own cluster. */
export function planServiceTarget(service: Service, context: L4TargetContext): L4Target {
  const { view } = context;
  const [first, second] = service.ports;
  // A declared listener port that the service does not have means its only port; of several none can be told.
  const port = first !== undefined && second === undefined ? first.number : context.port;
  const cluster = buildOutboundClusterName(service.hostname, port);
  const statPrefix = formatStatPrefix(cluster, { service, port, portName: "", subset: "" }, view);
  return { clusters: [{ name: cluster, weight: undefined }], statPrefix, ...readPolicy(view, service, "") };
}

type PolicyPart = Pick<L4Target, "idleTimeout" | "maxConnectionDuration" | "hashesSourceIp" | "tunnel">;

function readPolicy(view: ScopeView, service: Service | undefined, subsetName: string): PolicyPart {
  const rule = service === undefined ? undefined : view.findDestinationRule(service);
  const policy = rule?.spec.trafficPolicy;
  const subset = rule?.spec.subsets?.find((candidate) => candidate.name === subsetName)?.trafficPolicy;
  return {
    idleTimeout: policy?.connectionPool?.tcp?.idleTimeout,
    maxConnectionDuration: policy?.connectionPool?.tcp?.maxConnectionDuration,
    hashesSourceIp: hashesSourceIp(subset?.loadBalancer === undefined ? policy : subset),
    // A subset has a tunnel of its own or none.
    tunnel: readTunnel(subsetName === "" ? policy : subset),
  };
}

function hashesSourceIp(policy: TrafficPolicy | undefined): boolean {
  return policy?.loadBalancer?.consistentHash?.useSourceIp === true;
}

function readTunnel(policy: TrafficPolicy | undefined): L4Tunnel | undefined {
  const tunnel = policy?.tunnel;
  if (tunnel === undefined) return undefined;
  return { hostname: joinHostPort(tunnel.targetHost, tunnel.targetPort), usesPost: tunnel.protocol === "POST" };
}

interface StatPrefixParts {
  readonly service: Service | undefined;
  readonly port: number;
  readonly portName: string | undefined;
  readonly subset: string;
}

function formatStatPrefix(cluster: string, parts: StatPrefixParts, view: ScopeView): string {
  const pattern = view.snapshot.mesh.outboundClusterStatName;
  const { service, port: number, subset } = parts;
  if (!pattern || service === undefined) return cluster;
  const port = service.ports.find((candidate) => candidate.number === number) ?? service.ports[0];
  const name = parts.portName ?? port?.name ?? "";
  return expandStatName(pattern, { service, port: { number, name }, subset, targetPort: 0 });
}
