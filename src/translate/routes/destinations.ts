/** Which cluster a destination means. Rules: Istio route.go GetDestinationCluster. */
import type { Destination } from "../../api/virtual-service/schema.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { buildOutboundClusterName } from "../names.ts";
import type { ScopeView } from "../scope.ts";

/** What has to be known of a destination's service. */
export interface DestinationService {
  /** Where a destination without port goes; undefined where the service has several. */
  readonly onlyPort: number | undefined;
  /** Target of an ExternalName service: its cluster is that of the target. */
  readonly externalName: string | undefined;
}

export type DestinationLookup = (hostname: string) => DestinationService | undefined;

/** No cluster has this name: requests to it fail, and nothing else does. */
const unknownCluster = "UnknownService";

/**
 * Name of the cluster. Without a port in the destination it is the only port of the service, otherwise the port the
 * request came in at; a service that is not known may still be a cluster of the proxy's bootstrap.
 */
export function buildDestinationCluster(
  destination: Destination,
  context: { readonly port: number; readonly findDestination: DestinationLookup },
): string {
  if (destination.host === "") return unknownCluster;
  const service = context.findDestination(destination.host);
  const hostname = service?.externalName ?? destination.host;
  const port = destination.port?.number ?? service?.onlyPort ?? context.port;
  return buildOutboundClusterName(hostname, port, destination.subset ?? "");
}

/** Looks services up in the whole scope: for TCP. */
export function destinationsOfView(view: ScopeView): DestinationLookup {
  return (hostname) => {
    const service = view.findService(hostname);
    return service === undefined ? undefined : describeService(service);
  };
}

/**
 * Looks services up for HTTP rules on gateways: of a hostname that several namespaces have, the service of the rule's
 * own is meant where the gateway may see it (Istio: gateway.go buildNameToServiceMapForHTTPRoutes).
 */
export function destinationsNear(view: ScopeView, namespace: string): DestinationLookup {
  return (hostname) => {
    const own = view.snapshot.services.find(hostname, namespace);
    const isVisible = own !== undefined && isVisibleFrom(own.exportTo, own.namespace, view.key.namespace);
    const service = isVisible ? own : view.findService(hostname);
    return service === undefined ? undefined : describeService(service);
  };
}

/**
 * Looks services up among those of one egress port. A service that does not have the port is unknown there, so its
 * destination goes to the port of the listener (Istio: BuildSidecarOutboundVirtualHosts).
 */
export function destinationsOfPort(services: ReadonlyMap<string, Service>, port: number): DestinationLookup {
  return (hostname) => {
    const service = services.get(hostname);
    if (service === undefined) return undefined;
    if (port === 0) return describeService(service);
    if (findPort(service, port) === undefined) return undefined;
    return { onlyPort: port, externalName: service.externalName };
  };
}

/** The first port with the number, UDP aside, which may share it (Istio: model.PortList GetByPort). */
export function findPort({ ports }: Service, number: number): ServicePort | undefined {
  return ports.find((port) => port.number === number && port.protocol !== "UDP");
}

function describeService(service: Service): DestinationService {
  const [first, second] = service.ports;
  return { onlyPort: second === undefined ? first?.number : undefined, externalName: service.externalName };
}
