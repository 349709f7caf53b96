import type { EndpointSliceSpec, KubeEndpoint } from "../api/kubernetes/types.ts";
import { type Endpoint, type EndpointHealth, unknownLocality } from "../model/endpoint.ts";
import type { Features } from "../model/features.ts";
import { keepsSessions, type Service } from "../model/service.ts";
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
  /** Network of an address whose pod states none; "" for none. */
  readonly findNetwork: (address: string) => string;
  readonly features: Features;
}

/**
 * Endpoints of a Kubernetes service from its slices. An endpoint that names a pod is left out until the pod is known:
 * without its labels and account it would be taken for one without mutual TLS (Istio: kube/controller/endpointslice.go).
 */
export function deriveKubeEndpoints(input: KubeEndpointsInput): readonly Endpoint[] {
  const endpoints = new Map<string, Endpoint>();
  for (const slice of input.slices) {
    if (slice.addressType === "FQDN") continue;
    for (const { address, make } of slice.endpoints.flatMap((member) => listPlaces(input, slice, member))) {
      for (const port of slice.ports) {
        const key = `${address}/${port.name}`;
        if (!endpoints.has(key)) endpoints.set(key, make(port.port, port.name));
      }
    }
  }
  return [...endpoints.values()];
}

interface EndpointPlace {
  /** As the slice has it. */
  readonly address: string;
  readonly make: (port: number, servicePortName: string) => Endpoint;
}

function listPlaces(
  input: KubeEndpointsInput,
  slice: EndpointSliceSpec,
  member: KubeEndpoint,
): readonly EndpointPlace[] {
  const isPodExpected = member.targetRef?.kind === "Pod";
  return member.addresses.flatMap((address) => {
    const pod = findPod(member, address, input);
    if (pod === undefined && isPodExpected) return [];
    const addresses = isPodExpected && pod !== undefined && isDualStack(input, pod) ? pod.addresses : [address];
    // A pod with both families is one endpoint: that of its IPv4 slice.
    if (addresses.length > 1 && slice.addressType === "IPv6") return [];
    return [{ address, make: endpointOf(input, { member, pod, addresses }) }];
  });
}

function findPod(member: KubeEndpoint, address: string, input: KubeEndpointsInput): Workload | undefined {
  const target = member.targetRef;
  const { namespace } = input.service;
  if (target?.kind === "Pod") {
    return input.pods.find(target.namespace === "" ? namespace : target.namespace, target.name);
  }
  // Somebody manages the slice by hand: a pod of the namespace with this address is the best guess.
  const pod = input.pods.byAddress(address);
  return pod?.namespace === namespace ? pod : undefined;
}

function isDualStack({ service, features }: KubeEndpointsInput, pod: Workload): boolean {
  return features.dualStack && pod.addresses.length > 1 && service.addresses.length > 1;
}

interface Place {
  readonly member: KubeEndpoint;
  readonly pod: Workload | undefined;
  /** Where it is reached, the preferred address first. */
  readonly addresses: readonly string[];
}

// All ports of a member share what comes from its pod, so that it is put together once.
function endpointOf(input: KubeEndpointsInput, { member, pod, addresses }: Place) {
  const [address = "", ...additionalAddresses] = addresses;
  // The pod's own address is the one that tells its network, whatever the slice says.
  const network = pod?.network || input.findNetwork(pod?.addresses[0] ?? address) || input.findNetwork(address);
  const place = {
    locality: pod?.locality ?? unknownLocality,
    clusterId: input.clusterId,
    network,
    nodeName: pod?.nodeName ?? "",
  };
  const shared = {
    address,
    additionalAddresses,
    labels: addPlaceLabels(pod?.labels ?? {}, place),
    namespace: pod?.namespace ?? "",
    serviceAccount: pod?.serviceAccount ?? "",
    workloadName: pod?.workloadName ?? "",
    ...place,
    weight: 0,
    tlsMode: pod?.tlsMode ?? "disabled",
    health: deriveHealth(input, member),
    hostName: member.hostname ?? pod?.hostName ?? "",
    subDomain: pod?.subDomain ?? "",
  };
  return (port: number, servicePortName: string): Endpoint => ({ ...shared, port, servicePortName });
}

// Kubernetes itself calls endpoints of a service that publishes unready addresses ready.
function deriveHealth({ service, features }: KubeEndpointsInput, member: KubeEndpoint): EndpointHealth {
  if (member.ready) return "HEALTHY";
  if (!member.terminating) return "UNHEALTHY";
  // Only sessions that must stay with their server have use for one that still serves but is on its way out.
  return keepsSessions(service, features) && member.serving ? "DRAINING" : "TERMINATING";
}
