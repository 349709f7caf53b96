/**
 * The gateways between networks (Istio: kube/controller/network.go, model/network.go; rows G29, G31): those that
 * `meshNetworks` states by address, Services with a label that says which network they lead into, and Services that
 * `meshNetworks` names for the network of this cluster.
 */
import type { KubeNode, KubeService } from "../api/kubernetes/types.ts";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import { type Labels, labelsMatch } from "../api/object.ts";
import { findOwn } from "../lib/find-own.ts";
import { compareText, sortEntries } from "../lib/text-order.ts";
import type { NetworkGateway } from "../model/network-gateway.ts";
import { networkLabel } from "../model/workload-labels.ts";
import { formatKubeHostname } from "./kube-services.ts";

const portLabel = "networking.istio.io/gatewayPort";
const nodeSelectorAnnotation = "traffic.istio.io/nodeSelector";
const defaultPort = 15443;
const hbonePort = 15008;

export interface NetworkGatewaysInput {
  /** Services that may be gateways; others in it do no harm. */
  readonly services: readonly KubeService[];
  readonly nodes: readonly KubeNode[];
  readonly networks: MeshNetworks;
  readonly domain: string;
  readonly clusterId: string;
}

/** Where a service leads to, before its addresses are known. The port is one of the service. */
type Entrance = Pick<NetworkGateway, "network" | "port" | "hbonePort">;

/** All gateways, each once, sorted by address and port. */
export function deriveNetworkGateways(input: NetworkGatewaysInput): readonly NetworkGateway[] {
  const stated = Object.entries(input.networks.networks ?? {}).flatMap(([network, { gateways = [] }]) =>
    gateways.flatMap(({ address = "", port = 0 }) =>
      address === "" ? [] : [{ network, clusterId: "", address, port, hbonePort: 0 }],
    ),
  );
  const named = listNamedServices(input.networks, input.clusterId);
  const ofServices = input.services.flatMap((service) => {
    const entrances = listEntrances(service, named, input.domain);
    if (entrances.length === 0) return [];
    return listAddresses(service, input.nodes).flatMap((address) =>
      entrances.map((entrance) => ({
        ...entrance,
        port: findNodePort(service, entrance.port) ?? entrance.port,
        clusterId: input.clusterId,
        address,
      })),
    );
  });
  const unique = new Map([...stated, ...ofServices].map((gateway) => [formatGateway(gateway), gateway]));
  return [...unique.values()].sort(compareGateways);
}

/** Services that can be gateways at all: the others need not be looked at again. */
export function mayBeGateway({ meta, spec }: KubeService, networks: MeshNetworks, domain: string): boolean {
  if ((meta.labels[networkLabel] ?? "") !== "") return true;
  const hostname = formatKubeHostname(meta.name, meta.namespace, domain);
  return (
    spec.type !== "ExternalName" &&
    Object.values(networks.networks ?? {}).some(({ gateways = [] }) =>
      gateways.some(({ registryServiceName }) => registryServiceName === hostname),
    )
  );
}

export function compareGateways(a: NetworkGateway, b: NetworkGateway): number {
  return compareText(a.address, b.address) || a.port - b.port || compareText(formatGateway(a), formatGateway(b));
}

function formatGateway({ network, clusterId, address, port, hbonePort: hbone }: NetworkGateway): string {
  return JSON.stringify([network, clusterId, address, port, hbone]);
}

/** Services by host that `meshNetworks` names for networks of which this cluster's endpoints are. */
function listNamedServices(networks: MeshNetworks, clusterId: string): ReadonlyMap<string, readonly Entrance[]> {
  const entrances = sortEntries(Object.entries(networks.networks ?? {})).flatMap(([network, settings]) => {
    const { endpoints = [], gateways = [] } = settings;
    if (!endpoints.some(({ fromRegistry = "" }) => fromRegistry !== "" && fromRegistry === clusterId)) return [];
    return gateways.flatMap(({ registryServiceName: host = "", port = 0 }) =>
      host === "" ? [] : [{ host, entrance: { network, port, hbonePort: 0 } }],
    );
  });
  const byHost = Map.groupBy(entrances, ({ host }) => host);
  return new Map([...byHost].map(([host, list]) => [host, list.map(({ entrance }) => entrance)]));
}

function listEntrances(
  { meta, spec }: KubeService,
  named: ReadonlyMap<string, readonly Entrance[]>,
  domain: string,
): readonly Entrance[] {
  const network = meta.labels[networkLabel] ?? "";
  if (network === "") return named.get(formatKubeHostname(meta.name, meta.namespace, domain)) ?? [];
  const listens = (port: number): boolean => spec.ports.some((candidate) => candidate.port === port);
  const stated = meta.labels[portLabel] ?? "";
  const wanted = /^[+-]?\d+$/.test(stated) ? Number(stated) : defaultPort;
  const [port, hbone] = [listens(wanted) ? wanted : 0, listens(hbonePort) ? hbonePort : 0];
  return port === 0 && hbone === 0 ? [] : [{ network, port, hbonePort: hbone }];
}

function listAddresses({ meta, spec }: KubeService, nodes: readonly KubeNode[]): readonly string[] {
  if (!isOfNodes(meta.annotations, spec)) {
    return [...(spec.type === "LoadBalancer" ? spec.loadBalancerAddresses : []), ...spec.externalIPs];
  }
  const selector = parseSelector(meta.annotations[nodeSelectorAnnotation] ?? "");
  return nodes.flatMap((node) => {
    const external = node.spec.addresses.find(({ type, address }) => type === "ExternalIP" && address !== "");
    return external === undefined || !labelsMatch(selector, node.meta.labels) ? [] : [external.address];
  });
}

/** Port on the nodes behind a port of the service; undefined where the service is not reached by its nodes. */
function findNodePort({ meta, spec }: KubeService, port: number): number | undefined {
  if (!isOfNodes(meta.annotations, spec)) return undefined;
  return spec.ports.find((candidate) => candidate.port === port)?.nodePort;
}

function isOfNodes(annotations: KubeService["meta"]["annotations"], { type }: KubeService["spec"]): boolean {
  return type === "NodePort" && findOwn(annotations, nodeSelectorAnnotation) !== undefined;
}

/** Labels of nodes as a JSON object of texts; what is none selects all nodes. */
function parseSelector(text: string): Labels {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
    return Object.fromEntries(
      Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return {};
  }
}
