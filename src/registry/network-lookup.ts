/** Which network an address is in (Istio: kube/controller/network.go and controller.go Network; rows G29, G30). */
import { BlockList, isIP } from "node:net";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import { sortEntries } from "../lib/text-order.ts";

export interface NetworkLookupInput {
  /** Network that the label of the control plane's namespace states; "" for none. */
  readonly ofNamespace: string;
  readonly networks: MeshNetworks;
  readonly clusterId: string;
}

/**
 * A look-up for addresses of workloads that state no network themselves: the namespace's label decides, else the network
 * that names this cluster, else the widest subnet that the address is in. "" where nothing says.
 */
export function createNetworkLookup({
  ofNamespace,
  networks,
  clusterId,
}: NetworkLookupInput): (address: string) => string {
  const sorted = sortEntries(Object.entries(networks.networks ?? {}));
  const ofCluster = sorted.find(([, { endpoints = [] }]) =>
    endpoints.some(({ fromRegistry = "" }) => fromRegistry !== "" && fromRegistry === clusterId),
  );
  const stated = ofNamespace === "" ? (ofCluster?.[0] ?? "") : ofNamespace;
  if (stated !== "") return () => stated;
  const subnets = sorted
    .flatMap(([network, { endpoints = [] }]) =>
      endpoints.flatMap(({ fromCidr = "" }) => parseSubnet(fromCidr, network) ?? []),
    )
    .sort((a, b) => a.prefix - b.prefix);
  return (address) => {
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (subnets.length === 0 || isIP(address) === 0) return "";
    return subnets.find((subnet) => subnet.family === family && subnet.list.check(address, family))?.network ?? "";
  };
}

interface Subnet {
  readonly network: string;
  readonly prefix: number;
  readonly family: "ipv4" | "ipv6";
  readonly list: BlockList;
}

/** An address without a length is no subnet: Istio does not read it either. */
function parseSubnet(text: string, network: string): Subnet | undefined {
  const [address = "", length = ""] = text.split("/");
  if (isIP(address) === 0 || !/^\d+$/.test(length)) return undefined;
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  const prefix = Number(length);
  if (prefix > (family === "ipv6" ? 128 : 32)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, prefix, family);
  return { network, prefix, family, list };
}
