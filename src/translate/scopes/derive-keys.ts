/**
 * From a proxy to its keys: the only place that reads a whole proxy. What is not put into a key here cannot reach its
 * configuration; what is put in needlessly splits scopes, and each scope is generated on its own.
 */

import type { DestinationRule } from "../../api/destination-rule/schema.ts";
import { type Labels, refOf } from "../../api/object.ts";
import type { Sidecar } from "../../api/sidecar/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { memoByKey } from "../../lib/slot-memo.ts";
import { compareText } from "../../lib/text-order.ts";
import { formatLocality, type Locality } from "../../model/endpoint.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { Service } from "../../model/service.ts";
import type { Workload } from "../../model/workload.ts";
import {
  addPlaceLabels,
  findLabelledLocality,
  findStatedLocality,
  networkLabel,
  tlsModeLabel,
} from "../../model/workload-labels.ts";
import { filterLabels, listTrafficParts } from "../../snapshot/selector-labels.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { readAgentAddress } from "../dns/dynamic-forward.ts";
import { type SelectedPatches, selectPatches } from "../patch/select-patches.ts";
import type { ListenerKey, PatchSelection, ScopeKey, SelfDiscovery, WorkloadKey } from "../scope.ts";
import { canonicalText } from "./canonical-text.ts";
import { deriveOwnProxyConfig } from "./own-proxy-config.ts";
import { deriveServiceTargets } from "./service-targets.ts";
import { findSidecar } from "./sidecar-selection.ts";

const networkLabels: ReadonlySet<string> = new Set([networkLabel]);
/** Labels that tell generations of one deployment apart: only these share traffic evenly. */
const generationLabels = ["pod-template-hash", "rollouts-pod-template-hash"] as const;

export interface ProxyKeys {
  readonly scope: ScopeKey;
  readonly listener: ListenerKey;
  readonly workload: WorkloadKey;
}

/** The keys of a proxy in a snapshot. */
export function deriveKeys(snapshot: Snapshot, proxy: MeshProxy): ProxyKeys {
  const subject = describeProxy(snapshot, proxy);
  const patches = selectProxyPatches(subject);
  const scope = withId<ScopeKey>({ ...deriveScopeFields(subject), ...listPatches(patches.scope) });
  const listener = withId<ListenerKey>({
    scope,
    canonicalService: subject.labels["service.istio.io/canonical-name"] ?? "unknown",
    canonicalRevision: subject.labels["service.istio.io/canonical-revision"] ?? "latest",
    meshId: proxy.meshId === "" ? "unknown" : proxy.meshId,
    ownHeadlessAddresses: listHeadlessAddresses(snapshot, proxy),
    ...listPatches(patches.listener),
  });
  const workload = withId<WorkloadKey>({
    listener,
    labels: {
      ...filterLabels(subject.labels, snapshot.selectorPairs.all),
      // Whether the workload was made ready for mutual TLS decides where PERMISSIVE is no answer (proxyless gRPC).
      ...pickLabels(subject.labels, new Set([tlsModeLabel])),
    },
    targets: subject.targets,
    addresses: needsAddresses(subject) ? firstOfEachFamily(proxy.addresses) : [],
    ...listPatches(patches.workload),
  });
  return { scope, listener, workload };
}

function selectProxyPatches({ snapshot, proxy, labels }: Subject): SelectedPatches {
  const { type, namespace, metadata } = proxy;
  const { rootNamespace } = snapshot.mesh;
  return selectPatches(snapshot.envoyFilters, { type, namespace, labels, metadata, rootNamespace });
}

function listPatches(patches: readonly PatchSelection[]): { readonly patches?: readonly PatchSelection[] } {
  return patches.length === 0 ? {} : { patches };
}

/** What the registry and the proxy itself together say of it. */
interface Subject {
  readonly snapshot: Snapshot;
  readonly proxy: MeshProxy;
  readonly labels: Labels;
  readonly locality: Locality;
  /** As the platform knows it, else as the proxy says. */
  readonly network: string;
  readonly sidecar: Sidecar | undefined;
  readonly targets: WorkloadKey["targets"];
  readonly self: SelfDiscovery | undefined;
}

function describeProxy(snapshot: Snapshot, proxy: MeshProxy): Subject {
  const workload = findWorkload(snapshot, proxy);
  // The registry wins: what a workload says of itself must not take labels away that policies select it by.
  const labels = { ...proxy.labels, ...workload?.labels };
  const targets = deriveServiceTargets(snapshot, { proxy, workload, labels });
  const client = { namespace: proxy.namespace, labels, rootNamespace: snapshot.mesh.rootNamespace };
  return {
    snapshot,
    proxy,
    labels,
    locality: deriveLocality(proxy, workload, labels),
    network: workload?.network || (workload && snapshot.findNetwork(workload.addresses[0] ?? "")) || proxy.network,
    sidecar: proxy.type === "sidecar" ? findSidecar(snapshot.sidecars, client) : undefined,
    targets,
    self: proxy.discoversItself === true ? describeSelf(snapshot, { proxy, labels, targets }) : undefined,
  };
}

/** Secrets that a proxy has from elsewhere than the mesh, by its metadata. */
function readOwnSecrets({ metadata }: MeshProxy): Pick<ScopeKey, "clientCertificate" | "hasSecretSocket"> {
  const text = (name: string): string => (typeof metadata[name] === "string" ? metadata[name] : "");
  const certificate = text("TLS_CLIENT_CERT_CHAIN");
  const files = { certificate, privateKey: text("TLS_CLIENT_KEY"), roots: text("TLS_CLIENT_ROOT_CERT") };
  return {
    ...(certificate === "" ? {} : { clientCertificate: files }),
    ...(text("credential") === "true" ? { hasSecretSocket: true } : {}),
  };
}

/** The platform knows best where a workload is, then its labels; last comes what the proxy says (Istio: xds/ads.go). */
function deriveLocality(proxy: MeshProxy, workload: Workload | undefined, labels: Labels): Locality {
  if (workload !== undefined && formatLocality(workload.locality) !== "") return workload.locality;
  return findLabelledLocality(labels) ?? findStatedLocality(labels) ?? proxy.locality;
}

/** The oldest service that the workload serves, and what others must share with it to be of its kind. */
function describeSelf(
  snapshot: Snapshot,
  { proxy, labels, targets }: Pick<Subject, "proxy" | "labels" | "targets">,
): SelfDiscovery | undefined {
  const services = targets.flatMap(({ hostname, namespace }) => snapshot.services.find(hostname, namespace) ?? []);
  const [oldest] = services.sort(
    (a, b) => compareText(a.creationTimestamp ?? "", b.creationTimestamp ?? "") || compareText(a.hostname, b.hostname),
  );
  const port = oldest?.ports.find(({ number }) =>
    targets.some((target) => target.hostname === oldest.hostname && target.port === number),
  );
  if (oldest === undefined || port === undefined) return undefined;
  const generations = Object.fromEntries(generationLabels.map((name) => [name, labels[name] ?? ""]));
  return { hostname: oldest.hostname, port: port.number, workloadName: proxy.workloadName, generations };
}

// Always within the proxy's own namespace: an address may be claimed, or be one of a shared network. Several workloads may
// share an address (pods of the host's network, entries of one machine); then the node id names the one that is meant.
function findWorkload(snapshot: Snapshot, proxy: MeshProxy): Workload | undefined {
  const dot = proxy.id.indexOf(".");
  const named = dot < 0 ? undefined : snapshot.workloads.find(proxy.namespace, proxy.id.slice(0, dot));
  if (named?.addresses.some((address) => proxy.addresses.includes(address)) === true) return named;
  for (const address of proxy.addresses) {
    const workload = snapshot.workloads.byAddress(address);
    if (workload?.namespace === proxy.namespace) return workload;
  }
  return undefined;
}

function deriveScopeFields(subject: Subject): Omit<ScopeKey, "id"> {
  const { snapshot, proxy, locality, sidecar, self } = subject;
  const { nodeName } = proxy;
  const isRouter = proxy.type === "router";
  const ownConfig = deriveOwnProxyConfig(snapshot.mesh, proxy);
  const { selectorPairs } = snapshot;
  const comparable = addPlaceLabels(subject.labels, {
    locality,
    clusterId: proxy.clusterId,
    network: subject.network,
    nodeName,
  });
  return {
    proxyType: proxy.type,
    namespace: proxy.namespace,
    dnsDomain: proxy.dnsDomain,
    clusterId: proxy.clusterId,
    network: proxy.network,
    ...(proxy.networkView === undefined ? {} : { networkView: proxy.networkView }),
    ...(self === undefined ? {} : { selfDiscovery: self }),
    ...readOwnSecrets(proxy),
    ...(ownConfig === undefined ? {} : { proxyConfig: ownConfig }),
    sidecar: sidecar && refOf(sidecar),
    labels: {
      ...filterLabels(subject.labels, isRouter ? selectorPairs.all : selectorPairs.outbound),
      ...pickLabels(comparable, selectorPairs.compared),
      // Services that prefer to stay near compare it too, and by what the platform says.
      ...(subject.network === proxy.network ? {} : pickLabels(comparable, networkLabels)),
    },
    capabilities: {
      istioVersion: proxy.istioVersion,
      extensions: proxy.extensions,
      acceptHttp10: proxy.acceptHttp10 || snapshot.features.http10,
    },
    locality: (self !== undefined || needsLocality(snapshot)) && formatLocality(locality) !== "" ? locality : undefined,
    interceptionMode: proxy.interceptionMode,
    httpProxyPort: proxy.httpProxyPort,
    privileged: proxy.privileged,
    ipFamilies: {
      v4: proxy.addresses.some((address) => !address.includes(":")),
      v6: proxy.addresses.some((address) => address.includes(":")),
    },
    dnsCapture: proxy.dnsCapture,
    dnsAutoAllocate: proxy.dnsAutoAllocate,
    ...(asksAgent(subject) ? describeAgent(proxy) : {}),
    idleTimeoutMs: proxy.idleTimeoutMs,
    exactBalance: proxy.exactBalance,
    nodeName: hasNodeBoundService(snapshot.services.all, proxy.namespace) ? nodeName : undefined,
    targets: isRouter ? subject.targets : [],
  };
}

// Only a proxy that looks up any name asks the agent itself.
function asksAgent({ proxy, sidecar, snapshot }: Subject): boolean {
  const policy = sidecar?.spec.outboundTrafficPolicy ?? snapshot.mesh.outboundTrafficPolicy;
  return proxy.type === "sidecar" && proxy.dnsCapture && policy.mode === "ALLOW_ANY_DYNAMIC_DNS";
}

function describeAgent({ metadata }: MeshProxy): { readonly dnsProxyAddress?: string } {
  const address = readAgentAddress(metadata["DNS_PROXY_ADDR"]);
  return address === undefined ? {} : { dnsProxyAddress: address };
}

function withId<Key extends { readonly id: string }>(fields: Omit<Key, "id">): Key {
  // The id of an inner key stands for all of it. Every text of canonicalText tells its own end, so that they may follow
  // each other, and none has a line break in it.
  const [inner, own] = [[] as string[], {} as Record<string, unknown>];
  for (const [name, value] of Object.entries(fields)) {
    if (isKey(value)) inner.push(value.id);
    else own[name] = value;
  }
  return { ...fields, id: [...inner, canonicalText(own)].join("\n") } as unknown as Key;
}

function isKey(value: unknown): value is { readonly id: string } {
  return typeof value === "object" && value !== null && "id" in value && typeof value.id === "string";
}

function pickLabels(labels: Labels, names: ReadonlySet<string>): Labels {
  if (names.size === 0) return {};
  return Object.fromEntries(Object.entries(labels).filter(([name]) => names.has(name)));
}

// Localities are weighed where a rule or the mesh distributes by them, where hosts are ejected so that others must take
// over, and where a service wants to stay near.
function needsLocality(snapshot: Snapshot): boolean {
  const { mesh } = snapshot;
  if ((mesh.localityLbSetting.distribute ?? []).length > 0 || mesh.zoneAwareLbSetting !== undefined) return true;
  if (mesh.defaultTrafficPolicy?.outlierDetection !== undefined) return true;
  if (mesh.defaultTrafficPolicy?.loadBalancer?.localityLbSetting !== undefined) return true;
  return weighsLocality(snapshot.destinationRules) || staysNear(snapshot.services.all);
}

const weighsLocality = memoByIdentity((rules: readonly DestinationRule[]): boolean =>
  rules.some((rule) =>
    listTrafficParts(rule).some(
      ({ outlierDetection, loadBalancer }) =>
        outlierDetection !== undefined ||
        loadBalancer?.localityLbSetting !== undefined ||
        loadBalancer?.zoneAwareLbSetting !== undefined,
    ),
  ),
);

const staysNear = memoByIdentity((services: readonly Service[]): boolean =>
  services.some((service) => service.trafficDistribution !== undefined && service.trafficDistribution !== "Any"),
);

// Also services of the own namespace that are exported to nobody: rules of the namespace may lead to them.
const hasNodeBoundService: (all: readonly Service[], namespace: string) => boolean = memoByKey(
  (all: readonly Service[], namespace) =>
    all.some(
      (service) =>
        (service.nodeLocal || service.trafficDistribution === "PreferSameNode") &&
        (service.namespace === namespace || isVisibleFrom(service.exportTo, service.namespace, namespace)),
    ),
);

function listHeadlessAddresses(snapshot: Snapshot, proxy: MeshProxy): readonly string[] {
  return proxy.addresses.filter((address) =>
    snapshot.endpoints.servicesAt(address).some((key) => {
      const slash = key.indexOf("/");
      return snapshot.services.find(key.slice(slash + 1), key.slice(0, slash))?.isHeadless === true;
    }),
  );
}

// Own addresses matter where listeners are bound to them or named after them (a declared port without an address of its
// own), or where a Sidecar sends requests on to "0.0.0.0:PORT", which stands for the workload's own address.
function needsAddresses({ proxy, sidecar }: Subject): boolean {
  if (proxy.interceptionMode === "NONE") return true;
  return (sidecar?.spec.ingress ?? []).some(
    (listener) =>
      listener.captureMode === "NONE" ||
      (listener.bind ?? "") === "" ||
      (listener.defaultEndpoint ?? "").startsWith("0.0.0.0:") ||
      (listener.defaultEndpoint ?? "").startsWith("[::]:"),
  );
}

function firstOfEachFamily(addresses: readonly string[]): readonly string[] {
  const v4 = addresses.find((address) => !address.includes(":"));
  const v6 = addresses.find((address) => address.includes(":"));
  return [v4, v6].filter((address) => address !== undefined);
}
