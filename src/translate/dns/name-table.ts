/**
 * The table of names that the agent of a sidecar answers DNS from (NDS; Istio: pkg/dns/server/name_table.go, row C250).
 * It holds what the scope imports and nothing else: what a workload may not reach it cannot look up here.
 */
import { isIP } from "node:net";
import type { NameTable, NameTable_NameInfo } from "@meltemi/protos/istio/networking/nds/v1";
import type { ObjectRef } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { type Endpoint, servesPort } from "../../model/endpoint.ts";
import type { Features } from "../../model/features.ts";
import type { Service } from "../../model/service.ts";
import type { Built } from "../built.ts";
import { listClusterAddresses } from "../listeners/addresses.ts";
import type { ScopeKey, ScopeView } from "../scope.ts";

/** The names that one service brings, in their order. */
interface ServiceNames {
  readonly service: Service;
  /** Addresses of the host itself; empty where it cannot be told. */
  readonly addresses: readonly string[];
  /** Names of single pods, which never give way to others. */
  readonly pods: readonly (readonly [host: string, info: NameTable_NameInfo])[];
}

// The table is one resource, and nobody asks for it by name.
const tableName = "";
const emptyTables: readonly Built<NameTable>[] = [{ name: tableName, message: {}, sources: [] }];
const noAddresses: readonly string[] = [];
const noPods: ServiceNames["pods"] = [];

const keptTables = createSlotMemo<readonly Built<NameTable>[]>();
const keptNames = createSlotMemo<ServiceNames>();

/** The one table of a scope, the same object while no name in it changed; empty for gateways, which import nothing. */
export function buildNameTable(view: ScopeView): readonly Built<NameTable>[] {
  const [first] = view.egressListeners;
  if (first === undefined) return emptyTables;
  const slot = formatSlot(view.key);
  const names = view.egressListeners.flatMap(({ services }) =>
    services.map((service) => findNames(view, service, slot)),
  );
  return keptTables({ owner: first.services, slot }, names, () => [
    { name: tableName, message: mergeNames(names), sources: listSources(names) },
  ]);
}

/** All that names read of the key. */
function formatSlot({ dnsCapture, ipFamilies, network, clusterId }: ScopeKey): string {
  return JSON.stringify([dnsCapture, ipFamilies.v4, ipFamilies.v6, network, clusterId]);
}

function findNames({ snapshot, key }: ScopeView, service: Service, slot: string): ServiceNames {
  const endpoints = hasPodAddresses(service) ? snapshot.endpoints.list(service.hostname, service.namespace) : undefined;
  return keptNames({ owner: service, slot }, [endpoints], () => {
    if (endpoints === undefined) {
      return { service, addresses: listVirtualAddresses(service, key, snapshot.features), pods: noPods };
    }
    return { service, ...listPodAddresses(service, endpoints, key) };
  });
}

/** True for services without an address of their own, of which clients connect to the endpoints. */
function hasPodAddresses({ resolution, addresses, ownAddresses = addresses }: Service): boolean {
  return resolution === "passthrough" && ownAddresses.length === 0;
}

/** Blocks of addresses cannot be answered. */
function listVirtualAddresses(service: Service, key: ScopeKey, features: Features): readonly string[] {
  // Addresses that somebody wrote are what clients are to connect to, whatever the families of the proxy.
  const isWritten = service.registry === "External" && service.addresses.length > 0;
  const { ownAddresses = service.addresses } = service;
  const addresses = isWritten
    ? ownAddresses
    : listClusterAddresses({ ...service, addresses: ownAddresses }, key, features);
  return addresses.filter((address) => isIP(address) !== 0);
}

/**
 * Addresses of the endpoints of a headless service's first port as the platform's DNS has them: those that are ready, or
 * all where the service says so, of the client's network. Pods that have a name below the service get it, too.
 */
function listPodAddresses(
  service: Service,
  endpoints: readonly Endpoint[],
  key: ScopeKey,
): Pick<ServiceNames, "addresses" | "pods"> {
  const [port] = service.ports;
  const addresses: string[] = [];
  const near = new Map<string, NameTable_NameInfo>();
  const far = new Map<string, NameTable_NameInfo>();
  for (const endpoint of endpoints) {
    if (port === undefined || !servesPort(endpoint, port) || !isSameOrEmpty(endpoint.network, key.network)) continue;
    const own = [endpoint.address, ...endpoint.additionalAddresses];
    if (own.some((address) => isIP(address) === 0)) continue;
    if (!service.publishNotReadyAddresses && endpoint.health !== "HEALTHY") continue;
    addresses.push(...own);
    addPod(isSameOrEmpty(endpoint.clusterId, key.clusterId) ? near : far, service, endpoint, own);
  }
  if (addresses.length === 0) return { addresses: noAddresses, pods: noPods };
  // A pod of another cluster lends its name only where this one has none of it.
  return { addresses, pods: [...near, ...[...far].filter(([host]) => !near.has(host))] };
}

/** `<hostname>.<subdomain>.<namespace>.svc.<domain>`, as Kubernetes names pods (DNS specification, "2.4.1"). */
function addPod(
  pods: Map<string, NameTable_NameInfo>,
  { hostname, namespace, registry }: Service,
  { hostName, subDomain }: Endpoint,
  addresses: readonly string[],
): void {
  const dot = hostname.indexOf(".");
  if (subDomain === "" || dot < 0) return;
  const shortname = `${hostName}.${subDomain}`;
  const host = `${shortname}${hostname.slice(dot)}`;
  const ips = [...(pods.get(host)?.ips ?? []), ...addresses];
  pods.set(host, { ips, registry, shortname, namespace });
}

function isSameOrEmpty(a: string, b: string): boolean {
  return a === "" || b === "" || a === b;
}

/**
 * All names as one table. Of several services for a host one of Kubernetes wins, others add their addresses; a service
 * that several listeners import stands once.
 */
function mergeNames(names: readonly ServiceNames[]): NameTable {
  const table = new Map<string, NameTable_NameInfo>();
  for (const { service, addresses, pods } of names) {
    for (const [host, info] of pods) table.set(host, info);
    if (addresses.length === 0) continue;
    const known = table.get(service.hostname);
    if (known === undefined || (known.registry !== "Kubernetes" && service.registry === "Kubernetes")) {
      table.set(service.hostname, describeService(service, addresses));
    } else if (known.registry !== "Kubernetes") {
      table.set(service.hostname, { ...known, ips: [...new Set([...(known.ips ?? []), ...addresses])] });
    }
  }
  return table.size === 0 ? {} : { table: Object.fromEntries(table) };
}

/** With name and namespace the agent answers the short forms, too: only Kubernetes has such. */
function describeService(service: Service, ips: readonly string[]): NameTable_NameInfo {
  const { registry, name, namespace } = service;
  return registry === "Kubernetes" ? { ips, registry, shortname: name, namespace } : { ips, registry };
}

function listSources(names: readonly ServiceNames[]): readonly ObjectRef[] {
  const named = names.filter(({ addresses, pods }) => addresses.length > 0 || pods.length > 0);
  return [...new Set(named.map(({ service }) => service.object))];
}
