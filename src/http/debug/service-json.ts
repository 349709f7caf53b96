/**
 * Services and endpoints as istiod prints them: the fields of its Go records under their own names, which tools read
 * (pilot/pkg/model/service.go: Service, ServiceAttributes, Port, IstioEndpoint).
 */
import { type Endpoint, type EndpointHealth, formatLocality } from "../../model/endpoint.ts";
import { type Resolution, type Service, type ServicePort, unspecifiedAddress } from "../../model/service.ts";

const resolutionNumbers: { readonly [R in Resolution]: number } = {
  clientSideLb: 0,
  dnsLb: 1,
  passthrough: 2,
  dnsRoundRobin: 3,
  alias: 4,
  dynamicDns: 5,
};

const healthNumbers: { readonly [H in EndpointHealth]: number } = {
  UNKNOWN: 0,
  HEALTHY: 1,
  UNHEALTHY: 2,
  DRAINING: 3,
  TERMINATING: 4,
};

/** Go's zero time, printed where an object has no creation time. */
const noTime = "0001-01-01T00:00:00Z";

/** A service as an element of /debug/registryz. */
export function formatService(service: Service, clusterId: string): object {
  return {
    Attributes: formatAttributes(service, clusterId),
    ports: service.ports.map(formatPort),
    creationTime: service.creationTimestamp ?? noTime,
    hostname: service.hostname,
    clusterVIPs: { Addresses: service.addresses.length === 0 ? null : { [clusterId]: service.addresses } },
    defaultAddress: service.addresses[0] ?? unspecifiedAddress,
    ...(service.autoAllocatedAddress === undefined ? {} : { autoAllocatedIPv4Address: service.autoAllocatedAddress }),
    ...(service.autoAllocatedAddressV6 === undefined
      ? {}
      : { autoAllocatedIPv6Address: service.autoAllocatedAddressV6 }),
    Resolution: resolutionNumbers[service.resolution],
    MeshExternal: service.meshExternal,
    ResourceVersion: service.resourceVersion ?? "",
  };
}

export function formatPort(port: ServicePort): object {
  return { name: port.name, port: port.number, protocol: port.protocol };
}

function formatAttributes(service: Service, clusterId: string): object {
  return {
    ServiceRegistry: service.registry,
    Name: service.name,
    Namespace: service.namespace,
    Labels: emptyAsNull(service.labels),
    ExportTo: Object.fromEntries([...service.exportTo].map((name) => [name, {}])),
    LabelSelectors: emptyAsNull(service.selector ?? {}),
    Aliases: service.aliases.length === 0 ? null : formatAliases(service),
    ClusterExternalAddresses: {
      Addresses: service.externalAddresses.length === 0 ? null : { [clusterId]: service.externalAddresses },
    },
    ClusterExternalPorts: null,
    Type: "",
    ExternalName: service.externalName ?? "",
    NodeLocal: service.nodeLocal,
    TrafficDistribution: service.trafficDistribution ?? "",
    PublishNotReadyAddresses: service.publishNotReadyAddresses,
  };
}

function formatAliases(service: Service): readonly object[] {
  return service.aliases.map(({ hostname, namespace }) => ({ Hostname: hostname, Namespace: namespace }));
}

/** Go prints a map that was never made as null. */
function emptyAsNull(labels: object): object | null {
  return Object.keys(labels).length === 0 ? null : labels;
}

/** An endpoint as an element of a shard in /debug/endpointz. */
export function formatEndpoint(endpoint: Endpoint, trustDomain: string): object {
  return {
    Labels: emptyAsNull(endpoint.labels),
    Addresses: [endpoint.address, ...endpoint.additionalAddresses],
    ServicePortName: endpoint.servicePortName,
    ServiceAccount: formatIdentity(endpoint, trustDomain),
    Network: endpoint.network,
    Locality: { Label: formatLocality(endpoint.locality), ClusterID: endpoint.clusterId },
    EndpointPort: endpoint.port,
    LbWeight: endpoint.weight,
    TLSMode: endpoint.tlsMode,
    Namespace: endpoint.namespace,
    WorkloadName: endpoint.workloadName,
    HostName: endpoint.hostName,
    SubDomain: endpoint.subDomain,
    HealthStatus: healthNumbers[endpoint.health],
    SendUnhealthyEndpoints: false,
    NodeName: endpoint.nodeName,
  };
}

/** The SPIFFE identity of an endpoint's service account; "" where it has none. */
export function formatIdentity({ namespace, serviceAccount }: Endpoint, trustDomain: string): string {
  return serviceAccount === "" ? "" : `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
