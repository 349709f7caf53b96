/** The endpoints of one port and subset of a service, as one caller sees them (Istio: xds/endpoints/endpoint_builder.go). */

import { isIP } from "node:net";
import type { LocalityLbEndpoints } from "@meltemi/protos/envoy/config/endpoint/v3";
import { labelsMatch } from "../../api/object.ts";
import { isUnixAddress } from "../../lib/host-port.ts";
import { type Endpoint, servesPort, unknownLocality } from "../../model/endpoint.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import {
  type EffectivePolicy,
  mergeClusterPolicy,
  mergeRulePolicy,
  sendsUnhealthyEndpoints,
} from "../clusters/traffic-policy.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import type { ScopeKey, SelfDiscovery } from "../scope.ts";
import { isClusterLocal } from "./cluster-local.ts";
import { buildLbEndpoint, isDraining, weightOf } from "./lb-endpoint.ts";
import { balanceLocalities, type Caller } from "./locality-balancing.ts";
import {
  buildLocalityEndpoints,
  groupByLocality,
  type LocalityGroup,
  type Member,
  sumWeights,
} from "./locality-groups.ts";
import { findLocalityRule } from "./locality-setting.ts";
import { createMtlsCheck } from "./mtls.ts";
import { type GatewayIndex, indexGateways, isSameNetwork, splitHorizon, takesMtls } from "./split-horizon.ts";

/** Which endpoints are wanted: those of a cluster. */
export interface EndpointQuery {
  readonly service: Service;
  readonly port: ServicePort;
  /** "" for the whole service. */
  readonly subset: string;
  readonly rule: MergedDestinationRule | undefined;
  /** "assignment": sent on their own (EDS); "inline": part of the cluster, so that names are allowed. */
  readonly place: "assignment" | "inline";
  /** True for clusters of AUTO_PASSTHROUGH gateways: only endpoints that take mutual TLS may be behind them. */
  readonly onlyMtls: boolean;
}

export function buildEndpoints(
  snapshot: Snapshot,
  key: ScopeKey,
  query: EndpointQuery,
): readonly LocalityLbEndpoints[] {
  const { service, port, subset, rule, place } = query;
  // What stands in a cluster fails over by the cluster's own policy, to which the mesh adds.
  const policy =
    place === "inline"
      ? mergeClusterPolicy(rule?.spec, { port: port.number, subset }, snapshot.mesh)
      : mergeRulePolicy(rule?.spec, port.number, subset);
  const locality = findLocalityRule(service, policy, snapshot.mesh);
  const caller = callerOf(key, place === "assignment" || subset === "");
  const groups = listGroups(snapshot, key, query);
  const balanced = locality === undefined ? groups : balanceLocalities(groups, locality, caller);
  return balanced.map(buildLocalityEndpoints);
}

/** Endpoints of a service that are of the proxy's own kind and region: neither rules nor weights of localities count. */
export function buildKinEndpoints(
  snapshot: Snapshot,
  key: ScopeKey,
  query: Pick<EndpointQuery, "service" | "port"> & { readonly self: SelfDiscovery },
): readonly LocalityLbEndpoints[] {
  const { service, port, self } = query;
  const isKin = ({ workloadName, labels, locality }: Endpoint): boolean =>
    workloadName === self.workloadName &&
    locality.region === (key.locality ?? unknownLocality).region &&
    Object.entries(self.generations).every(([name, value]) => (labels[name] ?? "") === value);
  const all = { service, port, subset: "", rule: undefined, place: "assignment", onlyMtls: false } as const;
  return listGroups(snapshot, key, all, isKin).map(buildLocalityEndpoints);
}

/** Endpoints by locality, as they are reached from the caller's network. */
function listGroups(
  snapshot: Snapshot,
  key: ScopeKey,
  query: EndpointQuery,
  ...conditions: readonly ((endpoint: Endpoint) => boolean)[]
): readonly LocalityGroup[] {
  const { service, port, subset, rule, place } = query;
  const takesMtls = createMtlsCheck({ snapshot, rule: rule?.spec, port: port.number, subset });
  const gateways = indexGateways(snapshot.networkGateways, place === "inline");
  const policy = mergeRulePolicy(rule?.spec, port.number, subset);
  const isWanted = createFilter({ snapshot, key, query, policy, gateways });
  const { dualStack } = snapshot.features;
  const members = snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter((endpoint) => isWanted(endpoint) && conditions.every((condition) => condition(endpoint)))
    .map((endpoint): Member => {
      const wire = buildLbEndpoint(endpoint, takesMtls(endpoint), dualStack);
      return { endpoint, wire, weight: weightOf(endpoint) };
    });
  const groups = splitHorizon(groupByLocality(members), gateways, key);
  return query.onlyMtls ? groups.map(keepMtls) : groups;
}

interface FilterInput {
  readonly snapshot: Snapshot;
  readonly key: ScopeKey;
  readonly query: EndpointQuery;
  readonly policy: EffectivePolicy | undefined;
  readonly gateways: GatewayIndex;
}

function createFilter(input: FilterInput): (endpoint: Endpoint) => boolean {
  const { snapshot, query, policy } = input;
  const { service, port, subset, rule } = query;
  const labels = subset === "" ? {} : (rule?.spec.subsets?.find(({ name }) => name === subset)?.labels ?? {});
  const sendsUnhealthy = sendsUnhealthyEndpoints(service, policy);
  // Only a cookie's sessions last: those of a header end with the endpoint.
  const sessions = (service.labels[snapshot.features.persistentSessionLabel] ?? "") !== "";
  const isInReach = createReachFilter(input);
  return (endpoint) => {
    const isOfPort = query.place === "inline" ? servesPort(endpoint, port) : endpoint.servicePortName === port.name;
    if (!isOfPort || (query.place === "assignment" && !isDirectAddress(endpoint))) return false;
    if (!labelsMatch(labels, endpoint.labels) || !isInReach(endpoint)) return false;
    if (isUnusable(endpoint) && !sendsUnhealthy) return false;
    return sessions || !isDraining(endpoint);
  };
}

/** What the caller's place leaves of the endpoints. */
function createReachFilter({ snapshot, key, query, gateways }: FilterInput): (endpoint: Endpoint) => boolean {
  const { service } = query;
  const { network, networkView: view } = key;
  const clusterLocal = isClusterLocal(snapshot, service.hostname);
  return (endpoint) => {
    // Without an address it is known by its network only, and reached through that network's gateway.
    if (endpoint.address === "" && (gateways.isEmpty || isSameNetwork(endpoint.network, network))) return false;
    // Endpoints of which the network is unknown are in every view.
    if (view !== undefined && endpoint.network !== "" && !view.includes(endpoint.network)) return false;
    if (service.nodeLocal && endpoint.nodeName !== (key.nodeName ?? "")) return false;
    return !clusterLocal || endpoint.clusterId === key.clusterId;
  };
}

/** What is not ready or about to go is the same to clients: known, and not to be used. */
function isUnusable({ health }: Endpoint): boolean {
  return health === "UNHEALTHY" || health === "TERMINATING";
}

/** EDS takes no names; an endpoint without a port is a Unix socket. */
function isDirectAddress({ address, port }: Endpoint): boolean {
  return port === 0 || address === "" || isUnixAddress(address) || isIP(address) !== 0;
}

/** A locality stays even when nothing is left in it, as in Istio: only its weight goes. */
function keepMtls(group: LocalityGroup): LocalityGroup {
  const members = group.members.filter(takesMtls);
  return { ...group, members, weight: members.length === 0 ? undefined : sumWeights(members) };
}

function callerOf(key: ScopeKey, comparesLabels: boolean): Caller {
  return {
    comparesLabels,
    locality: key.locality ?? unknownLocality,
    network: key.network,
    clusterId: key.clusterId,
    nodeName: key.nodeName ?? "",
    labels: key.labels,
  };
}
