import { isIP } from "node:net";
import { refOf } from "../api/object.ts";
import type { ServiceEntry } from "../api/service-entry/schema.ts";
import { findOwn } from "../lib/find-own.ts";
import { isUnixAddress } from "../lib/host-port.ts";
import { parseProtocol } from "../lib/protocol.ts";
import { type Endpoint, parseLocality } from "../model/endpoint.ts";
import { parseExportTo } from "../model/export-to.ts";
import type { Resolution, Service, ServicePort } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { addPlaceLabels, deriveStatedLocality, networkLabel, tlsModeLabel } from "../model/workload-labels.ts";
import { findAssignedAddress } from "./address-allocation.ts";
import type { ServiceDefaults } from "./kube-services.ts";
import { deriveTrafficDistribution } from "./traffic-distribution.ts";

const strategyAnnotation = "istio.io/connect-strategy";

const resolutions: { readonly [name: string]: Resolution } = {
  NONE: "passthrough",
  STATIC: "clientSideLb",
  DNS: "dnsLb",
  DNS_ROUND_ROBIN: "dnsRoundRobin",
  DYNAMIC_DNS: "dynamicDns",
};

/** Converts a ServiceEntry: one service for each of its hosts (Istio: pilot/pkg/serviceregistry/serviceentry). */
export function convertServiceEntry(
  entry: ServiceEntry,
  defaults: Pick<ServiceDefaults, "defaultExportTo" | "trafficDistributions">,
): readonly Service[] {
  const { meta, spec } = entry;
  const trafficDistribution = deriveTrafficDistribution({
    annotations: meta.annotations,
    ofNamespace: defaults.trafficDistributions[meta.namespace],
  });
  const shared = {
    namespace: meta.namespace,
    registry: "External" as const,
    ports: (spec.ports ?? []).map(convertPort),
    addresses: (spec.addresses ?? []).map(trimHostPrefix),
    resolution: resolutions[spec.resolution ?? "NONE"] ?? "passthrough",
    isHeadless: false,
    meshExternal: (spec.location ?? "MESH_EXTERNAL") === "MESH_EXTERNAL",
    exportTo: parseExportTo(spec.exportTo ?? [], defaults.defaultExportTo),
    labels: meta.labels,
    selector: spec.workloadSelector?.labels,
    ...(meta.creationTimestamp !== undefined && { creationTimestamp: meta.creationTimestamp }),
    ...(meta.resourceVersion !== undefined && { resourceVersion: meta.resourceVersion }),
    aliases: [],
    subjectAltNames: spec.subjectAltNames ?? [],
    publishNotReadyAddresses: false,
    nodeLocal: false,
    ...(trafficDistribution !== "Any" && { trafficDistribution }),
    ...(racesConnections(entry) && { racesConnections: true }),
    externalAddresses: [],
    object: refOf(entry),
  };
  const assigned = entry.status?.addresses ?? [];
  return [...new Set(spec.hosts)].map((hostname) => {
    const assignedAddress = findAssignedAddress(assigned, hostname);
    const isAssigned = Object.keys(assignedAddress).length > 0;
    return { hostname, name: hostname, ...shared, ...(isAssigned && { assignedAddress }) };
  });
}

/** What the endpoints of a ServiceEntry are made of. */
export interface ServiceEntryEndpointsInput {
  readonly entry: ServiceEntry;
  readonly hostname: string;
  /** Workloads that the entry's selector selects, in a steady order; empty without a selector. */
  readonly selected: readonly Workload[];
  readonly clusterId: string;
}

type EntryPort = NonNullable<ServiceEntry["spec"]["ports"]>[number];
type EntryEndpoint = NonNullable<ServiceEntry["spec"]["endpoints"]>[number];

/**
 * Endpoints of one host of a ServiceEntry: those that are listed, those of the selected workloads, or the host itself
 * where DNS is to resolve it and nothing else is said.
 */
export function deriveServiceEntryEndpoints(input: ServiceEntryEndpointsInput): readonly Endpoint[] {
  const { spec } = input.entry;
  const ports = spec.ports ?? [];
  if (spec.workloadSelector !== undefined) {
    return ports.flatMap((port) => input.selected.flatMap((workload) => convertSelected(workload, port, input)));
  }
  const listed = spec.endpoints ?? [];
  const resolution = spec.resolution ?? "NONE";
  if (listed.length === 0 && (resolution === "DNS" || resolution === "DNS_ROUND_ROBIN")) {
    // Nobody can resolve a name with a star in it.
    if (input.hostname.startsWith("*")) return [];
    return ports.map((port) => hostEndpoint(port, input));
  }
  return ports.flatMap((port) => listed.flatMap((_, index) => convertListed(index, port, input)));
}

// Envoy races the addresses of one name only: several endpoints are looked up one by one.
function racesConnections({ meta, spec }: ServiceEntry): boolean {
  const isAsked = meta.annotations[strategyAnnotation]?.toUpperCase() === "RACE_FIRST_TCP_CONNECT";
  return isAsked && (spec.endpoints ?? []).length <= 1 && spec.workloadSelector === undefined;
}

function convertPort(port: EntryPort): ServicePort {
  return {
    name: port.name,
    number: port.number,
    protocol: parseProtocol(port.protocol ?? ""),
    ...(port.targetPort !== undefined && port.targetPort !== 0 && { targetPort: port.targetPort }),
  };
}

/** A block of one address is that address: "192.0.2.1/32". */
function trimHostPrefix(address: string): string {
  return address.replace(address.includes(":") ? /\/128$/ : /\/32$/, "");
}

function hostEndpoint(port: EntryPort, { entry, hostname, clusterId }: ServiceEntryEndpointsInput): Endpoint {
  return {
    address: hostname,
    additionalAddresses: [],
    port: port.targetPort || port.number,
    servicePortName: port.name,
    servicePort: port.number,
    labels: {},
    namespace: entry.meta.namespace,
    serviceAccount: "",
    workloadName: entry.meta.name,
    network: "",
    locality: parseLocality(""),
    clusterId,
    weight: 0,
    tlsMode: "disabled",
    health: "UNKNOWN",
    nodeName: "",
    hostName: "",
    subDomain: "",
  };
}

function convertListed(index: number, port: EntryPort, input: ServiceEntryEndpointsInput): readonly Endpoint[] {
  const { entry, clusterId } = input;
  const listed: EntryEndpoint | undefined = entry.spec.endpoints?.[index];
  // Without an address it is known by its network, and reached through that network's gateway.
  if (listed === undefined || !(listed.address || listed.network)) return [];
  const labels = listed.labels ?? {};
  const place = {
    locality: deriveStatedLocality(listed.locality, labels),
    clusterId,
    network: listed.network || labels[networkLabel] || "",
    nodeName: "",
  };
  return [
    {
      ...hostEndpoint(port, input),
      address: listed.address ?? "",
      port: selectPort(listed.address ?? "", listed.ports ?? {}, port),
      labels: addPlaceLabels(labels, place),
      serviceAccount: listed.serviceAccount ?? "",
      workloadName: `${entry.meta.name}-${index}`,
      ...place,
      weight: listed.weight ?? 0,
      tlsMode: labels[tlsModeLabel] ?? (listed.serviceAccount ? "istio" : "disabled"),
    },
  ];
}

function convertSelected(workload: Workload, port: EntryPort, input: ServiceEntryEndpointsInput): readonly Endpoint[] {
  const address = workload.addresses[0] ?? "";
  if (address === "" && workload.network === "") return [];
  // Names and Unix sockets of workload entries are for entries that look names up (Istio: DNSServiceEntryOnly).
  const { resolution = "NONE" } = input.entry.spec;
  if (address !== "" && isIP(address) === 0 && resolution !== "DNS" && resolution !== "DNS_ROUND_ROBIN") return [];
  const number = selectPort(address, workload.ports ?? {}, port);
  const at = { address, port: number, servicePortName: port.name, servicePort: port.number };
  return [convertWorkloadEndpoint(workload, at, input.clusterId)];
}

/** The endpoint of a selected pod or workload entry. Only of pods does the platform know whether they are ready. */
export function convertWorkloadEndpoint(
  workload: Workload,
  at: Pick<Endpoint, "address" | "port" | "servicePortName" | "servicePort">,
  clusterId: string,
): Endpoint {
  const { locality, network, nodeName } = workload;
  const health = workload.ready === false ? "UNHEALTHY" : "HEALTHY";
  return {
    ...at,
    additionalAddresses: workload.addresses.slice(1),
    labels: addPlaceLabels(workload.labels, { locality, clusterId, network, nodeName }),
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount,
    workloadName: workload.workloadName,
    network,
    locality,
    clusterId,
    weight: workload.weight ?? 0,
    tlsMode: workload.tlsMode ?? "disabled",
    health: workload.object.kind === "Pod" ? health : "UNKNOWN",
    nodeName,
    hostName: workload.hostName ?? "",
    subDomain: workload.subDomain ?? "",
  };
}

// The workload's own map of ports comes first, then what the entry says, then the service's port.
function selectPort(address: string, ports: { readonly [name: string]: number }, port: EntryPort): number {
  if (isUnixAddress(address)) return 0;
  return findOwn(ports, port.name) || port.targetPort || port.number;
}
