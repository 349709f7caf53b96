/**
 * Findings about the mesh as a whole that istiod counts while it builds a push (pilot/pkg/model/push_context.go); each is
 * a gauge among the metrics and a section of /debug/push_status.
 */
import type { Service } from "../../model/service.ts";
import { serviceKey } from "../../model/service.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { buildOutboundClusterName } from "../../translate/names.ts";

export type FindingName = "pilot_eds_no_instances" | "pilot_endpoint_not_ready" | "pilot_dns_cluster_without_endpoints";

export const findingHelp: { readonly [Name in FindingName]: string } = {
  pilot_eds_no_instances: "Number of clusters without instances.",
  pilot_endpoint_not_ready: "Endpoint found in unready state.",
  pilot_dns_cluster_without_endpoints: "DNS clusters without endpoints.",
};

/** Names of what each finding is about, sorted: clusters, or endpoints as "service address:port". */
export function listFindings(snapshot: Snapshot): { readonly [Name in FindingName]: readonly string[] } {
  const services = snapshot.services.all;
  const withoutEndpoints = (wanted: (service: Service) => boolean): readonly string[] =>
    services
      .filter(wanted)
      .flatMap((service) => listEmptyClusters(snapshot, service))
      .sort();
  return {
    pilot_eds_no_instances: withoutEndpoints(({ resolution }) => resolution === "clientSideLb"),
    pilot_endpoint_not_ready: services.flatMap((service) => listUnready(snapshot, service)).sort(),
    pilot_dns_cluster_without_endpoints: withoutEndpoints(
      ({ resolution }) => resolution === "dnsLb" || resolution === "dnsRoundRobin",
    ),
  };
}

function listEmptyClusters(snapshot: Snapshot, service: Service): readonly string[] {
  const endpoints = snapshot.endpoints.list(service.hostname, service.namespace);
  const served = new Set(endpoints.map(({ servicePortName }) => servicePortName));
  return service.ports
    .filter(({ name, protocol }) => protocol !== "UDP" && !served.has(name))
    .map(({ number }) => buildOutboundClusterName(service.hostname, number));
}

function listUnready(snapshot: Snapshot, service: Service): readonly string[] {
  return snapshot.endpoints
    .list(service.hostname, service.namespace)
    .filter(({ health }) => health === "UNHEALTHY")
    .map(({ address, port }) => `${serviceKey(service)} ${address}:${port}`);
}
