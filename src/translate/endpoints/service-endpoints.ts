/** The endpoints of one port and subset of a service, as one caller sees them (Istio: xds/endpoints/endpoint_builder.go). */

import { isIP } from "node:net";
import type { LocalityLbEndpoints } from "@meltemi/protos/envoy/config/endpoint/v3";
import { labelsMatch } from "../../api/object.ts";
import { isUnixAddress } from "../../lib/host-port.ts";
import { hostIsWithin } from "../../lib/hostname.ts";
import { type Endpoint, unknownLocality } from "../../model/endpoint.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { type EffectivePolicy, mergeRulePolicy, sendsUnhealthyEndpoints } from "../clusters/traffic-policy.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import type { ScopeKey } from "../scope.ts";
import { buildLbEndpoint, isDraining } from "./lb-endpoint.ts";
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

const persistentSessionLabels = ["istio.io/persistent-session", "istio.io/persistent-session-header"] as const;

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
  const { service, port, subset, rule } = query;
  const policy = mergeRulePolicy(rule?.spec, port.number, subset);
  const takesMtls = createMtlsCheck({ snapshot, rule: rule?.spec, port: port.number, subset });
  const isWanted = createFilter({ snapshot, key, query, policy });
  const members = snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter(isWanted)
    .map((endpoint): Member => ({ endpoint, wire: buildLbEndpoint(endpoint, takesMtls(endpoint)) }));
  const groups = groupByLocality(members).map((group) => (query.onlyMtls ? keepMtls(group) : group));
  const locality = findLocalityRule(service, policy, snapshot.mesh);
  const caller = callerOf(key, query.place === "assignment");
  const balanced = locality === undefined ? groups : balanceLocalities(groups, locality, caller);
  return balanced.map(buildLocalityEndpoints);
}

/** True where clients of a service may stay with an endpoint that is about to go. */
export function keepsSessions(service: Service): boolean {
  return persistentSessionLabels.some((label) => (service.labels[label] ?? "") !== "");
}

interface FilterInput {
  readonly snapshot: Snapshot;
  readonly key: ScopeKey;
  readonly query: EndpointQuery;
  readonly policy: EffectivePolicy | undefined;
}

function createFilter({ snapshot, key, query, policy }: FilterInput): (endpoint: Endpoint) => boolean {
  const { service, port, subset, rule } = query;
  const labels = subset === "" ? {} : (rule?.spec.subsets?.find(({ name }) => name === subset)?.labels ?? {});
  const sendsUnhealthy = sendsUnhealthyEndpoints(service, policy);
  const sessions = keepsSessions(service);
  const clusterLocal = isClusterLocal(snapshot, service.hostname);
  return (endpoint) => {
    if (endpoint.servicePortName !== port.name || endpoint.address === "") return false;
    if (query.place === "assignment" && !isDirectAddress(endpoint)) return false;
    if (!labelsMatch(labels, endpoint.labels)) return false;
    if (service.nodeLocal && endpoint.nodeName !== key.nodeName) return false;
    if (clusterLocal && endpoint.clusterId !== key.clusterId) return false;
    if (isUnusable(endpoint) && !sendsUnhealthy) return false;
    return sessions || !isDraining(endpoint);
  };
}

/** What is not ready or about to go is the same to clients: known, and not to be used. */
function isUnusable({ health }: Endpoint): boolean {
  return health === "UNHEALTHY" || health === "TERMINATING";
}

/** EDS takes no names; an endpoint without a port is a Unix socket. */
function isDirectAddress({ address, port }: Endpoint): boolean {
  return port === 0 || isUnixAddress(address) || isIP(address) !== 0;
}

/** Services that must not leave the cluster: those of the platform, and those that the mesh says (row C157). */
function isClusterLocal({ mesh, domain }: Snapshot, hostname: string): boolean {
  const settings = (mesh.serviceSettings ?? []).flatMap(({ hosts = [], settings: own }) =>
    hosts.filter((host) => hostIsWithin(hostname, host)).map((host) => ({ host, local: own?.clusterLocal === true })),
  );
  // The most specific host decides; the mesh's own settings come before the defaults.
  const [decisive] = settings.sort((a, b) => b.host.length - a.host.length);
  if (decisive !== undefined) return decisive.local;
  return hostname === `kubernetes.default.svc.${domain}` || hostname.endsWith(`.kube-system.svc.${domain}`);
}

/** A locality stays even when nothing is left in it, as in Istio: only its weight goes. */
function keepMtls(group: LocalityGroup): LocalityGroup {
  const members = group.members.filter(
    ({ wire }) => "envoy.transport_socket_match" in (wire.metadata?.filter_metadata ?? {}),
  );
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
