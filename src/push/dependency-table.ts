/**
 * What a change can touch, so that nothing else is looked at (Istio: xds/{cds,lds,rds,eds}.go skip lists, rows X36-X40).
 * A type that is looked at and comes out equal is not sent, so a row errs on the side of looking.
 */
import type { ProxyType } from "../model/proxy.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";
import type { XdsType } from "./resource-types.ts";

type ChangedKind = SnapshotChange["kinds"] extends ReadonlySet<infer Kind> ? Kind : never;

const everything: readonly XdsType[] = ["cds", "eds", "lds", "rds", "ecds", "nds"];
const nothing: readonly XdsType[] = [];
// Names are those of the services that a listener imports, whatever rules there are for them.
const allButNames = everything.filter((type) => type !== "nds");

/**
 * Platform objects reach proxies through services, endpoints and the keys of workloads, which have rules of their own
 * below. A virtual service may bring services into a Sidecar's scope, so it touches clusters and endpoints too.
 */
const table: Readonly<Record<ChangedKind, Readonly<Record<ProxyType, readonly XdsType[]>>>> = {
  MeshConfig: { sidecar: everything, router: everything },
  VirtualService: { sidecar: allButNames, router: allButNames },
  DestinationRule: { sidecar: allButNames, router: allButNames },
  ServiceEntry: { sidecar: everything, router: everything },
  Sidecar: { sidecar: everything, router: nothing },
  Gateway: { sidecar: nothing, router: ["cds", "lds", "rds"] },
  PeerAuthentication: { sidecar: ["cds", "eds", "lds"], router: ["cds", "eds", "lds"] },
  EnvoyFilter: { sidecar: ["cds", "lds", "rds", "ecds"], router: ["cds", "lds", "rds", "ecds"] },
  Namespace: { sidecar: everything, router: everything },
  Service: { sidecar: nothing, router: nothing },
  EndpointSlice: { sidecar: nothing, router: nothing },
  Endpoints: { sidecar: nothing, router: nothing },
  Pod: { sidecar: nothing, router: nothing },
  Node: { sidecar: nothing, router: nothing },
  WorkloadEntry: { sidecar: nothing, router: nothing },
  Secret: { sidecar: nothing, router: nothing },
  ConfigMap: { sidecar: nothing, router: nothing },
  ServiceAccount: { sidecar: nothing, router: nothing },
  // Read and kept, not translated: nothing that proxies get depends on them.
  AuthorizationPolicy: { sidecar: nothing, router: nothing },
  RequestAuthentication: { sidecar: nothing, router: nothing },
  Telemetry: { sidecar: nothing, router: nothing },
  ProxyConfig: { sidecar: nothing, router: nothing },
  WorkloadGroup: { sidecar: nothing, router: nothing },
  WasmPlugin: { sidecar: nothing, router: nothing },
  TrafficExtension: { sidecar: nothing, router: nothing },
};

/** What of a scope must be looked at again. */
export interface Touched {
  /** Types of which everything may differ. */
  readonly types: ReadonlySet<XdsType>;
  /** Services (keys as serviceKey) whose load assignments may differ. */
  readonly endpoints: ReadonlySet<string>;
}

/**
 * Looks up what a change can touch for proxies of a type. Which patches of EnvoyFilters are for a key stands in it, so that a
 * key without patches has nothing to fear of them.
 */
export function listTouched(change: SnapshotChange, proxyType: ProxyType, hasPatches = true): Touched {
  const types = new Set<XdsType>();
  if (change.before === undefined || change.services.size > 0) addAll(types, everything);
  for (const kind of change.kinds) {
    if (hasPatches || kind !== "EnvoyFilter") addAll(types, table[kind][proxyType]);
  }
  for (const service of change.endpoints) addAll(types, listTouchedByEndpoints(change, service));
  return { types, endpoints: change.endpoints };
}

/**
 * Mostly nothing but load assignments. Clusters that proxies resolve themselves hold their endpoints; identities of
 * endpoints stand in the clusters' TLS settings; a headless service has listeners and names for its endpoints.
 */
function listTouchedByEndpoints({ before, after }: SnapshotChange, key: string): readonly XdsType[] {
  const [namespace, hostname] = splitKey(key);
  const service = after.services.find(hostname, namespace);
  if (service === undefined) return nothing;
  const types: XdsType[] = [];
  const isInCluster = service.resolution !== "clientSideLb" && service.resolution !== "passthrough";
  if (isInCluster || identitiesOf(before, key) !== identitiesOf(after, key)) types.push("cds");
  if (service.isHeadless || service.resolution === "passthrough") types.push("cds", "lds", "rds", "nds");
  return types;
}

function identitiesOf(snapshot: Snapshot | undefined, key: string): string {
  const [namespace, hostname] = splitKey(key);
  const endpoints = snapshot?.endpoints.list(hostname, namespace) ?? [];
  return [...new Set(endpoints.map((endpoint) => `${endpoint.namespace}/${endpoint.serviceAccount}`))].sort().join(" ");
}

/** Namespace and host of a serviceKey. */
function splitKey(key: string): readonly [string, string] {
  const slash = key.indexOf("/");
  return [key.slice(0, slash), key.slice(slash + 1)];
}

function addAll(set: Set<XdsType>, types: readonly XdsType[]): void {
  for (const type of types) set.add(type);
}
