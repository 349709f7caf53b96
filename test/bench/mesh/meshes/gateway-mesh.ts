import type { ProxyGroup } from "../proxies/proxy-group.ts";
import type { MeshObject } from "../servers/mesh-server.ts";
import type { Mesh, MeshSize } from "./mesh.ts";
import {
  buildGateway,
  buildNamespace,
  buildService,
  buildSlice,
  buildVirtualService,
  hostOf,
  type ServiceName,
} from "./mesh-objects.ts";
import { listAddresses, plainNamespace, plainService } from "./plain-mesh.ts";

const labels = { istio: "ingressgateway" };
const gateway: ServiceName = { name: "gateway", namespace: plainNamespace };

/** Gateways are few: so many proxies at most. */
const mostGateways = 100;

/** One Gateway with many hosts, each with a VirtualService of its own. */
export function buildGatewayMesh(size: MeshSize): Mesh {
  const services = Array.from({ length: size.services }, (_, index) => plainService(index));
  const hosts = Array.from({ length: size.hosts }, (_, host) => buildGatewayRoute(host, size, "api"));
  const group: ProxyGroup = {
    ...{ name: "gateways", namespace: plainNamespace, kind: "router", labels },
    count: Math.min(mostGateways, size.proxies),
  };
  return {
    objects: [
      buildNamespace(plainNamespace),
      buildGateway(gateway, labels),
      ...services.flatMap((service, index) => [
        buildService(service, index),
        buildSlice(service, listAddresses(index, size.endpoints)),
      ]),
      ...hosts,
    ],
    groups: [group],
    services,
    probe: { group, condition: { type: "rds", marker: `host-${size.hosts - 1}.example.com` } },
  };
}

/** The VirtualService of one host of the gateway. */
export function buildGatewayRoute(host: number, size: MeshSize, routeName: string): MeshObject {
  const destination = hostOf(plainService(host % size.services));
  const name = { name: `host-${host}`, namespace: plainNamespace };
  const gateways = [`${gateway.namespace}/${gateway.name}`];
  return buildVirtualService(name, { host: `host-${host}.example.com`, routeName, destination, gateways });
}
