/**
 * Endpoints of other networks are reached through the gateways of these networks (Istio: xds/endpoints/ep_filters.go
 * EndpointsByNetworkFilter; row C101). Each locality keeps its place; what it has elsewhere is replaced by gateways that
 * weigh as much.
 */
import { isIP } from "node:net";
import { struct, u32 } from "@meltemi/protos";
import type { LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import { memoByIdentity } from "../../lib/memo.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { type Endpoint, unknownLocality } from "../../model/endpoint.ts";
import type { NetworkGateway } from "../../model/network-gateway.ts";
import { addPlaceLabels } from "../../model/workload-labels.ts";
import { buildAddress } from "../address.ts";
import type { ScopeKey } from "../scope.ts";
import { type LocalityGroup, type Member, sumWeights } from "./locality-groups.ts";

const largestWeight = 4_294_967_295;

/** Whose view it is. */
export type NetworkCaller = Pick<ScopeKey, "proxyType" | "network" | "ipFamilies">;

/** Gateways by network, and by network and cluster. */
export interface GatewayIndex {
  readonly isEmpty: boolean;
  /** By how much weights are multiplied, so that they can be shared out evenly among any network's gateways. */
  readonly scale: number;
  /** Gateways of the endpoint's cluster, else all of its network. */
  find(network: string, clusterId: string): readonly NetworkGateway[];
}

/** Gateways of which the address is known. Names are for clusters whose endpoints the proxy looks up by name itself. */
export const indexGateways: (gateways: readonly NetworkGateway[], withNames: boolean) => GatewayIndex = memoByIdentity(
  (gateways: readonly NetworkGateway[], withNames: boolean): GatewayIndex => {
    const usable = withNames ? gateways : gateways.filter(({ address }) => isIP(address) !== 0);
    const byNetwork = Map.groupBy(usable, ({ network }) => network);
    const byCluster = Map.groupBy(usable, ({ network, clusterId }) => JSON.stringify([network, clusterId]));
    const counts = [...byNetwork.values(), ...byCluster.values()].map(({ length }) => length);
    return {
      isEmpty: usable.length === 0,
      scale: counts.reduce(leastCommonMultiple, 1),
      find: (network, clusterId) =>
        byCluster.get(JSON.stringify([network, clusterId])) ?? byNetwork.get(network) ?? noGateways,
    };
  },
);

const noGateways: readonly NetworkGateway[] = [];

/** The groups as they are reached from the caller's network; the groups themselves where there is one network only. */
export function splitHorizon(
  groups: readonly LocalityGroup[],
  gateways: GatewayIndex,
  caller: NetworkCaller,
): readonly LocalityGroup[] {
  return gateways.isEmpty ? groups : groups.map((group) => splitGroup(group, gateways, caller));
}

/** True where the caller needs no gateway, as far as is known where either of the two is. */
export function isSameNetwork(a: string, b: string): boolean {
  return a === "" || b === "" || a === b;
}

function splitGroup(group: LocalityGroup, index: GatewayIndex, caller: NetworkCaller): LocalityGroup {
  const members: Member[] = [];
  const weights = new Map<NetworkGateway, number>();
  for (const member of group.members) {
    const { network, clusterId, address } = member.endpoint;
    const weight = Math.min(member.weight * index.scale, largestWeight);
    const gateways = index.find(network, clusterId).filter(({ port }) => caller.proxyType !== "sidecar" || port !== 0);
    // A caller that does not say where it is takes the gateway, for it must not guess that it is near.
    const isFar = caller.network === "" ? network !== "" : !isSameNetwork(network, caller.network);
    if (!isFar || gateways.length === 0) {
      if (address !== "") members.push(scaleMember(member, weight));
      continue;
    }
    const reachable = gateways.filter((gateway) => isReachable(gateway, caller));
    // Gateways pass connections on by the server name of mutual TLS: nothing else gets through.
    if (reachable.length === 0 || !takesMtls(member)) continue;
    const share = Math.floor(weight / reachable.length);
    for (const gateway of reachable) weights.set(gateway, (weights.get(gateway) ?? 0) + share);
  }
  const sorted = [...weights].sort(([a], [b]) => compareGatewayAddresses(a, b));
  for (const [gateway, weight] of sorted) members.push(buildGatewayMember(gateway, weight));
  return { ...group, members, weight: members.length === 0 ? undefined : sumWeights(members) };
}

/** True where mutual TLS is spoken to the endpoint. */
export function takesMtls({ wire }: Member): boolean {
  return "envoy.transport_socket_match" in (wire.metadata?.filter_metadata ?? {});
}

/** A proxy of one IP family reaches addresses of that family only. */
function isReachable({ address }: NetworkGateway, { ipFamilies: { v4, v6 } }: NetworkCaller): boolean {
  if (v4 === v6) return true;
  const isV6 = isIP(address) === 6 && !address.toLowerCase().startsWith("::ffff:");
  return isIP(address) !== 0 && (isV6 ? v6 : v4);
}

const scaledWires = createSlotMemo<LbEndpoint>(4);

function scaleMember(member: Member, weight: number): Member {
  if (weight === member.weight) return member;
  const wire = scaledWires({ owner: member.wire, slot: String(weight) }, [], () => ({
    ...member.wire,
    load_balancing_weight: u32(weight),
  }));
  return { ...member, wire, weight };
}

const gatewayWires = createSlotMemo<Member>(64);

/** The gateway in the place of endpoints; always the same object for the same weight. */
function buildGatewayMember(gateway: NetworkGateway, total: number): Member {
  const weight = Math.min(total === 0 ? 1 : total, largestWeight);
  return gatewayWires({ owner: gateway, slot: String(weight) }, [], () => ({
    endpoint: describeGateway(gateway),
    weight,
    wire: {
      endpoint: { address: buildAddress(gateway.address, gateway.port) },
      load_balancing_weight: u32(weight),
      metadata: {
        filter_metadata: {
          "envoy.transport_socket_match": struct({ tlsMode: "istio" }),
          istio: struct({ workload: `;;;;${gateway.clusterId}` }),
        },
      },
    },
  }));
}

/** What rules may compare of a gateway: where it is, and nothing of the workloads behind it. */
function describeGateway({ network, clusterId, address, port }: NetworkGateway): Endpoint {
  const place = { locality: unknownLocality, clusterId, network, nodeName: "" };
  return {
    address,
    additionalAddresses: [],
    port,
    servicePortName: "",
    labels: addPlaceLabels({}, place),
    namespace: "",
    serviceAccount: "",
    workloadName: "",
    ...place,
    weight: 0,
    tlsMode: "istio",
    health: "UNKNOWN",
    hostName: "",
    subDomain: "",
  };
}

function compareGatewayAddresses(a: NetworkGateway, b: NetworkGateway): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
