/** Clusters of gRPC clients that read xDS themselves (Istio: networking/grpcgen/cds.go). */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Service } from "../../model/service.ts";
import type { Built } from "../built.ts";
import { isDnsDiscovery, selectDiscovery } from "../clusters/discovery.ts";
import { buildLoadBalancing } from "../clusters/load-balancer.ts";
import { listSubjectAltNames } from "../clusters/service-accounts.ts";
import { type EffectivePolicy, mergeRulePolicy } from "../clusters/traffic-policy.ts";
import { buildLoadAssignment } from "../endpoints/load-assignment.ts";
import { parseClusterName } from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { buildUpstreamTlsSocket } from "../security/transport-socket.ts";
import { buildGrpcTlsContext } from "./tls.ts";

/** A cluster by name; undefined for names of other kinds and for services, ports and subsets that are not there. */
export function buildGrpcCluster(view: ScopeView, name: string): Built<Cluster> | undefined {
  const parsed = parseClusterName(name);
  if (parsed === undefined || parsed.direction !== "outbound" || parsed.dnsSrv) return undefined;
  const service = view.findService(parsed.hostname);
  if (service === undefined || !service.ports.some(({ number }) => number === parsed.port)) return undefined;
  const rule = view.findDestinationRule(service);
  const subsets = rule?.spec.subsets ?? [];
  if (parsed.subset !== "" && !subsets.some((subset) => subset.name === parsed.subset)) return undefined;
  const policy = mergeRulePolicy(rule?.spec, parsed.port, parsed.subset);
  const message: Cluster = {
    name,
    type: "EDS",
    eds_cluster_config: { service_name: name, eds_config: { ads: {}, resource_api_version: "V3" } },
    ...buildGrpcBalancing(policy),
    ...buildGrpcTransport(view, service, policy),
  };
  return { name, message, sources: [service.object, ...(rule?.sources ?? [])] };
}

/**
 * Endpoints of a cluster. gRPC clients have no original destination: what sidecars pass through, they are given endpoints
 * for. Names to look up cannot be given to them, so those services are empty.
 */
export function buildGrpcLoadAssignment(
  view: ScopeView,
  clusterName: string,
): Built<ClusterLoadAssignment> | undefined {
  return buildLoadAssignment(view, clusterName, (service) => !isDnsDiscovery(selectDiscovery(service, "router")));
}

/** gRPC knows ROUND_ROBIN, its default, and RING_HASH; other balancers would make it refuse the cluster. */
function buildGrpcBalancing(policy: EffectivePolicy | undefined): Cluster {
  const balancing = buildLoadBalancing(policy?.loadBalancer);
  return balancing.lb_policy === "RING_HASH" ? balancing : { lb_policy: "ROUND_ROBIN" };
}

/**
 * Only where a rule asks for mutual TLS: nothing tells whether the client's credentials read these settings or whether
 * the server takes them (as in Istio).
 */
function buildGrpcTransport(view: ScopeView, service: Service, policy: EffectivePolicy | undefined): Cluster {
  if (policy?.tls?.mode !== "ISTIO_MUTUAL") return {};
  const names = listSubjectAltNames(view.snapshot, service);
  return { transport_socket: buildUpstreamTlsSocket({ common_tls_context: buildGrpcTlsContext(names) }) };
}
