/** Objects of a mesh of any size, as they would be read from an API server: plain Kubernetes and Istio JSON. */
export interface MeshSize {
  readonly services: number;
  readonly endpointsPerService: number;
}

export const benchPort = 8080;
export const benchNamespace = "bench";

export function serviceHost(index: number): string {
  return `svc-${index}.${benchNamespace}.svc.cluster.local`;
}

/** Address of one endpoint: 10.x.y.z, different for each (service, endpoint). */
function endpointAddress(service: number, endpoint: number): string {
  const serial = service * 64 + endpoint;
  return `10.${(serial >> 16) & 255}.${(serial >> 8) & 255}.${serial & 255}`;
}

export function buildMesh(size: MeshSize): readonly object[] {
  const objects: object[] = [{ apiVersion: "v1", kind: "Namespace", metadata: { name: benchNamespace } }];
  for (let index = 0; index < size.services; index += 1) {
    objects.push(buildService(index), buildEndpoints(index, size.endpointsPerService), buildVirtualService(index, 5));
  }
  return objects;
}

function buildService(index: number): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `svc-${index}`, namespace: benchNamespace, labels: { app: `svc-${index}` } },
    spec: {
      clusterIP: `10.200.${index >> 8}.${index & 255}`,
      selector: { app: `svc-${index}` },
      ports: [{ name: "http", port: benchPort, targetPort: benchPort, protocol: "TCP" }],
    },
  };
}

/** The slice of a service; another `count` is how the bench moves endpoints. */
export function buildEndpoints(index: number, count: number): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    addressType: "IPv4",
    metadata: {
      name: `svc-${index}-s`,
      namespace: benchNamespace,
      labels: { "kubernetes.io/service-name": `svc-${index}` },
    },
    ports: [{ name: "http", port: benchPort, protocol: "TCP" }],
    endpoints: Array.from({ length: count }, (_, endpoint) => ({
      addresses: [endpointAddress(index, endpoint)],
      conditions: { ready: true },
    })),
  };
}

/** A virtual service whose timeout changes with every `timeoutSeconds`: the smallest edit that a route can see. */
export function buildVirtualService(index: number, timeoutSeconds: number): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: `svc-${index}`, namespace: benchNamespace },
    spec: {
      hosts: [`svc-${index}`],
      http: [
        {
          match: [{ uri: { prefix: "/api" } }],
          timeout: `${timeoutSeconds}s`,
          route: [{ destination: { host: `svc-${index}` } }],
        },
        { route: [{ destination: { host: `svc-${index}` } }] },
      ],
    },
  };
}
