/** The mesh as proxies see it, for tests of translation: a sidecar of namespace "bookinfo" or a gateway. */

import type { DestinationRule } from "../../src/api/destination-rule/schema.ts";
import type { MeshObject } from "../../src/api/kinds.ts";
import type { MeshConfig } from "../../src/api/mesh-config/schema.ts";
import type { VirtualServiceSpec } from "../../src/api/virtual-service/schema.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import type { EgressListener, ListenerKey, ScopeKey, ScopeView } from "../../src/translate/scope.ts";
import { createScopeView } from "../../src/translate/scopes/create-scope-view.ts";
import { snapshotOf } from "./mesh-objects.ts";
import { ratings, reviews, virtualService } from "./sample-objects.ts";

export const testKey: ScopeKey = {
  id: "test",
  proxyType: "sidecar",
  namespace: "bookinfo",
  dnsDomain: "bookinfo.svc.cluster.local",
  clusterId: "Kubernetes",
  network: "",
  sidecar: undefined,
  labels: {},
  capabilities: { istioVersion: { major: 1, minor: 31, patch: 0 }, extensions: undefined, acceptHttp10: false },
  locality: undefined,
  interceptionMode: "REDIRECT",
  httpProxyPort: undefined,
  privileged: false,
  ipFamilies: { v4: true, v6: false },
  dnsCapture: false,
  dnsAutoAllocate: false,
  idleTimeoutMs: undefined,
  exactBalance: { inbound: false, outbound: false },
  nodeName: undefined,
  targets: [],
};

const gatewayKey: ScopeKey = {
  ...testKey,
  proxyType: "router",
  namespace: "istio-system",
  dnsDomain: "istio-system.svc.cluster.local",
  labels: { istio: "ingressgateway" },
  privileged: true,
};

export interface TestViewOptions {
  readonly key?: Partial<ScopeKey>;
  readonly policy?: ScopeView["outboundTrafficPolicy"];
  /** Egress listeners instead of the one that catches all; services and virtual services are those of the mesh. */
  readonly egress?: readonly Pick<EgressListener, "port" | "bind">[];
}

export interface GatewayViewOptions {
  readonly key?: Partial<ScopeKey>;
  readonly mesh?: Partial<MeshConfig>;
}

/** The mesh as a sidecar of namespace "bookinfo" sees it; `key` changes who is looking. */
export function scopeOf(snapshot: Snapshot, key: Partial<ScopeKey> = {}): ScopeView {
  const fields = { ...testKey, ...key };
  const extensions = [...(fields.capabilities.extensions ?? ["all"])];
  return createScopeView(snapshot, { ...fields, id: JSON.stringify([fields, extensions]) });
}

/** The same, with egress listeners or a policy that no Sidecar has to be written for. */
export function viewOf(snapshot: Snapshot, options: TestViewOptions = {}): ScopeView {
  const view = scopeOf(snapshot, options.key);
  const [catchAll] = view.egressListeners;
  if (catchAll === undefined || (options.policy === undefined && options.egress === undefined)) return view;
  const egress = options.egress ?? [{ port: undefined, bind: undefined }];
  return {
    snapshot,
    key: view.key,
    sidecar: undefined,
    outboundTrafficPolicy: options.policy ?? view.outboundTrafficPolicy,
    egressListeners: egress.map((listener) => ({ ...catchAll, ...listener })),
    services: view.services,
    findService: (hostname) => view.findService(hostname),
    findDestinationRule: (service, direction) => view.findDestinationRule(service, direction),
    gateways: view.gateways,
    listGatewayVirtualServices: (gateway) => view.listGatewayVirtualServices(gateway),
  };
}

/** A view of the mesh with the usual services, this virtual service and the rules. */
export function viewOfRules(
  spec: VirtualServiceSpec,
  options: TestViewOptions & { readonly rules?: readonly DestinationRule[] } = {},
): ScopeView {
  const objects = [reviews, ratings, virtualService("reviews", spec), ...(options.rules ?? [])];
  return viewOf(snapshotOf(objects), options);
}

/** The view of a gateway on a mesh of these objects. Ports 80 and 443 are not translated unless `key` has targets. */
export function gatewayViewOf(objects: readonly MeshObject[], options: GatewayViewOptions = {}): ScopeView {
  return viewOfSnapshot(snapshotOf(objects, options.mesh), options.key);
}

/** The mesh as the gateway sees it that istio=ingressgateway selects. */
export function viewOfSnapshot(snapshot: Snapshot, key: Partial<ScopeKey> = {}): ScopeView {
  return scopeOf(snapshot, { ...gatewayKey, ...key });
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
