/** Single changes that all proxies get, each with something in it that no other has. */
import {
  buildDestinationRule,
  buildService,
  buildSlice,
  buildVirtualService,
  clusterOf,
  freshAddress,
  hostOf,
  type ServiceName,
} from "../meshes/mesh-objects.ts";
import { listAddresses, plainService } from "../meshes/plain-mesh.ts";
import { encodeVarint } from "../proxies/wire-fields.ts";
import type { Change } from "./repeat-changes.ts";

/** A text with its length before it, as it stands in a message: 10.0.0.1 is not found in 10.0.0.12. */
function asField(text: string): string {
  return String.fromCharCode(text.length) + text;
}

/** One endpoint more than at first, another one each time. */
export function changeEndpoints(service: ServiceName, addresses: readonly string[], serial: number): Change {
  const address = freshAddress(serial);
  return {
    objects: [buildSlice(service, [...addresses, address])],
    conditions: [{ type: "eds", marker: asField(address) }],
  };
}

/** Another name of a route: the smallest edit that a route configuration can see. */
export function changeRoute(service: ServiceName, serial: number): Change {
  const routeName = `turn-${serial}.`;
  const route = { host: service.name, routeName, destination: hostOf(service) };
  return {
    objects: [buildVirtualService(service, route)],
    conditions: [{ type: "rds", marker: routeName }],
  };
}

/** Large enough to be five bytes that stand nowhere else. */
const firstConnections = 1_000_000_000;

/** Another number of connections to one cluster. */
export function changeRule(service: ServiceName, serial: number): Change {
  const connections = firstConnections + serial;
  return {
    objects: [buildDestinationRule(service, connections)],
    conditions: [{ type: "cds", marker: encodeVarint(connections).toString("latin1") }],
  };
}

/** A service that was not there: its cluster, its endpoints and its virtual host. */
export function addService(serial: number, services: number): Change {
  const service = { ...plainService(0), name: `new-${serial}` };
  const [address = ""] = listAddresses(services + serial, 1);
  return {
    objects: [buildService(service, services + serial), buildSlice(service, [address])],
    conditions: [
      { type: "cds", marker: clusterOf(service) },
      { type: "eds", marker: asField(address) },
      { type: "rds", marker: hostOf(service) },
    ],
  };
}
