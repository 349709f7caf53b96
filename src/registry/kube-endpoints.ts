import type { EndpointSliceSpec, KubeEndpoint } from "../api/kubernetes/types.ts";
import { type Endpoint, type EndpointHealth, unknownLocality } from "../model/endpoint.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { addPlaceLabels } from "../model/workload-labels.ts";

/** Looks up pods while endpoints are derived; the caller notes what was asked, to know what the result depends on. */
export interface PodLookup {
  find(namespace: string, name: string): Workload | undefined;
  byAddress(address: string): Workload | undefined;
}

export interface KubeEndpointsInput {
  readonly service: Service;
  /** Slices of the service in a steady order; of duplicates (address, port, port name) the first is taken. */
  readonly slices: readonly EndpointSliceSpec[];
  readonly pods: PodLookup;
  readonly clusterId: string;
  /** Network of the cluster, for endpoints whose pod states none; "" for none. */
  readonly network: string;
}

const persistentSessionLabels = ["istio.io/persistent-session", "istio.io/persistent-session-header"];
const drainingLabel = "istio.io/draining";

/**
 * Endpoints of a Kubernetes service from its slices. An endpoint that names a pod is left out until the pod is known:
 * without its labels and account it would be taken for one without mutual TLS (Istio: kube/controller/endpointslice.go).
 */
export function deriveKubeEndpoints(input: KubeEndpointsInput): readonly Endpoint[] {
  const seen = new Set<string>();
  const endpoints: Endpoint[] = [];
  for (const slice of input.slices) {
    if (slice.addressType === "FQDN") continue;
    const places = slice.endpoints.flatMap((member) => member.addresses.map((address) => ({ member, address })));
    for (const { member, address } of places) {
      const pod = findPod(member, address, input);
      if (pod === undefined && member.targetRef?.kind === "Pod") continue;
      const make = endpointOf(input, member, pod);
      for (const port of slice.ports) {
        const key = `${address}/${port.port}/${port.name}`;
        if (seen.has(key)) continue;
        seen.add(key);
        endpoints.push(make(address, port.port, port.name));
      }
    }
  }
  return endpoints;
}

function findPod(member: KubeEndpoint, address: string, input: KubeEndpointsInput): Workload | undefined {
  const target = member.targetRef;
  if (target === undefined) return input.pods.byAddress(address);
  if (target.kind !== "Pod") return undefined;
  return input.pods.find(target.namespace === "" ? input.service.namespace : target.namespace, target.name);
}

// All ports of a member share what comes from its pod, so that it is put together once.
function endpointOf(input: KubeEndpointsInput, member: KubeEndpoint, pod: Workload | undefined) {
  const network = pod === undefined || pod.network === "" ? input.network : pod.network;
  const place = {
    locality: pod?.locality ?? unknownLocality,
    clusterId: input.clusterId,
    network,
    nodeName: pod?.nodeName ?? member.nodeName ?? "",
  };
  const shared = {
    additionalAddresses: pod === undefined || pod.addresses.length < 2 ? [] : pod.addresses.slice(1),
    labels: addPlaceLabels(pod?.labels ?? {}, place),
    namespace: pod?.namespace ?? "",
    serviceAccount: pod?.serviceAccount ?? "",
    workloadName: pod?.workloadName ?? "",
    ...place,
    weight: 0,
    tlsMode: pod?.tlsMode ?? "disabled",
    health: deriveHealth(input.service, member, pod),
    hostName: member.hostname ?? pod?.hostName ?? "",
    subDomain: pod?.subDomain ?? "",
  };
  return (address: string, port: number, servicePortName: string): Endpoint => ({
    address,
    port,
    servicePortName,
    ...shared,
    // Each slice lists one family; the address at hand must not be its own alternative.
    additionalAddresses: shared.additionalAddresses.filter((other) => other !== address),
  });
}

function deriveHealth(service: Service, member: KubeEndpoint, pod: Workload | undefined): EndpointHealth {
  if (pod?.labels[drainingLabel]) return "DRAINING";
  if (member.ready) return "HEALTHY";
  if (member.terminating) {
    // Only sessions that must stay with their server have use for one that still serves but is on its way out.
    const keepsSessions = persistentSessionLabels.some((name) => service.labels[name] !== undefined);
    return keepsSessions && member.serving ? "DRAINING" : "TERMINATING";
  }
  return service.publishNotReadyAddresses ? "HEALTHY" : "UNHEALTHY";
}
