import type { ProxyGroup } from "../proxies/proxy-group.ts";
import type { Mesh, MeshSize } from "./mesh.ts";
import {
  buildDestinationRule,
  buildNamespace,
  buildService,
  buildSlice,
  buildVirtualService,
  clusterOf,
  endpointAddress,
  hostOf,
  type ServiceName,
} from "./mesh-objects.ts";

export const plainNamespace = "bench";

export function plainService(index: number): ServiceName {
  return { name: `svc-${index}`, namespace: plainNamespace };
}

/** Services of one namespace, each with a VirtualService; all proxies get all of them. */
export function buildPlainMesh(size: MeshSize): Mesh {
  const services = Array.from({ length: size.services }, (_, index) => plainService(index));
  const addresses = services.map((_, index) => listAddresses(index, size.endpoints));
  const objects = services.flatMap((service, index) => [
    buildService(service, index),
    buildSlice(service, addresses[index] ?? []),
    buildVirtualService(service, { host: service.name, routeName: "api", destination: hostOf(service) }),
  ]);
  const first = services.slice(0, 1).map((service) => buildDestinationRule(service, 100));
  const group = plainGroup(size, addresses);
  return {
    objects: [buildNamespace(plainNamespace), ...objects, ...first],
    groups: [group],
    services,
    probe: { group, condition: { type: "cds", marker: clusterOf(plainService(size.services - 1)) } },
  };
}

export function listAddresses(service: number, endpoints: number): readonly string[] {
  return Array.from({ length: endpoints }, (_, endpoint) => endpointAddress(service, endpoint));
}

function plainGroup({ proxies, hasWorkloads }: MeshSize, addresses: readonly (readonly string[])[]): ProxyGroup {
  const group = { name: "all", namespace: plainNamespace, count: proxies };
  if (!hasWorkloads) return group;
  // One endpoint of each service first, so that as many services as possible have a proxy.
  const most = Math.max(...addresses.map(({ length }) => length));
  const all = Array.from({ length: most }, (_, endpoint) => addresses.map((list) => list[endpoint] ?? "")).flat();
  return { ...group, hasWorkloads, addresses: all.filter((address) => address !== "") };
}
