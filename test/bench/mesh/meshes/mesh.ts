import type { Condition } from "../proxies/expectation.ts";
import type { ProxyGroup } from "../proxies/proxy-group.ts";
import type { MeshObject } from "../servers/mesh-server.ts";
import type { ServiceName } from "./mesh-objects.ts";

export interface MeshSize {
  readonly proxies: number;
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
  /** Namespaces with a Sidecar resource of their own, where the mesh has some. */
  readonly scopes: number;
  /** Hosts of the gateway, where the mesh has one. */
  readonly hosts: number;
  /** Proxies stand beside endpoints and have inbound listeners. */
  readonly hasWorkloads: boolean;
}

/** What a server is given before proxies connect, and who connects. */
export interface Mesh {
  readonly objects: readonly MeshObject[];
  readonly groups: readonly ProxyGroup[];
  readonly services: readonly ServiceName[];
  readonly probe: MeshProbe;
}

/** What a proxy of a group gets only where the whole mesh was taken in. */
export interface MeshProbe {
  readonly group: ProxyGroup;
  readonly condition: Condition;
}
