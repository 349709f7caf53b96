/** Gateways for tests, seen by the proxy that istio=ingressgateway selects. */
import type { Gateway, Server } from "../../api/gateway/schema.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { ObjectMeta } from "../../api/object.ts";
import type { HttpRoute, VirtualService, VirtualServiceSpec } from "../../api/virtual-service/schema.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { createTestMesh, setObjects, testKey, virtualService } from "../routes/test-mesh.ts";
import type { ListenerKey, ScopeKey, ScopeView } from "../scope.ts";
import { createScopeView } from "../scopes/create-scope-view.ts";

export interface GatewayViewOptions {
  readonly key?: Partial<ScopeKey>;
  readonly mesh?: Partial<MeshConfig>;
}

/** The view of a gateway on a mesh of these objects. Ports 80 and 443 are not translated unless `key` has targets. */
export function gatewayViewOf(objects: readonly MeshObject[], options: GatewayViewOptions = {}): ScopeView {
  return viewOfSnapshot(setObjects(createTestMesh(options.mesh), ...objects), options.key);
}

export function viewOfSnapshot(snapshot: Snapshot, key: Partial<ScopeKey> = {}): ScopeView {
  const fields: ScopeKey = {
    ...testKey,
    proxyType: "router",
    namespace: "istio-system",
    dnsDomain: "istio-system.svc.cluster.local",
    labels: { istio: "ingressgateway" },
    privileged: true,
    ...key,
  };
  const extensions = [...(fields.capabilities.extensions ?? ["all"])];
  return createScopeView(snapshot, { ...fields, id: JSON.stringify([fields, extensions]) });
}

export function listenerKeyOf({ key }: ScopeView): ListenerKey {
  return {
    id: key.id,
    scope: key,
    canonicalService: "ingress",
    canonicalRevision: "v1",
    meshId: "mesh",
    ownHeadlessAddresses: [],
  };
}

/** A Gateway in istio-system, unless `meta` says otherwise. */
export function gateway(name: string, servers: readonly Server[], meta: Partial<ObjectMeta> = {}): Gateway {
  return {
    kind: "Gateway",
    apiVersion: "networking.istio.io/v1",
    meta: { name, namespace: "istio-system", labels: {}, annotations: {}, ...meta },
    spec: { selector: { istio: "ingressgateway" }, servers },
  };
}

/** A server; `text` is "PROTOCOL number name", such as "HTTPS 443 https". */
export function server(text: string, hosts: readonly string[], more: Omit<Partial<Server>, "port"> = {}): Server {
  const [protocol = "", number = "", name = ""] = text.split(" ");
  return { port: { protocol, number: Number(number), name }, hosts, ...more };
}

/** A virtual service of namespace bookinfo on Gateway istio-system/gw. */
export function rules(name: string, hosts: readonly string[], spec: VirtualServiceSpec = {}): VirtualService {
  return virtualService(name, { gateways: ["istio-system/gw"], hosts, ...spec });
}

/** One HTTP rule for a prefix, or for everything, to the service `reviews` or another. */
export function httpTo(prefix: string | undefined, host = "reviews.bookinfo.svc.cluster.local"): HttpRoute {
  const route = [{ destination: { host } }];
  return prefix === undefined ? { route } : { match: [{ uri: { prefix } }], route };
}
