import type { KubeService } from "../api/kubernetes/types.ts";
import type { ServiceEntry } from "../api/service-entry/schema.ts";
import { objectKey } from "../lib/message.ts";
import { compareText } from "../lib/text-order.ts";
import { parseExportTo } from "../model/export-to.ts";
import { compareServices, type Service, serviceKey } from "../model/service.ts";
import {
  type AddressPrefixes,
  type AllocatedAddress,
  allocateAddresses,
  isAllocatable,
  wantsAddress,
} from "../registry/address-allocation.ts";
import { convertKubeService, type ServiceDefaults } from "../registry/kube-services.ts";
import { resolveAliases } from "../registry/service-aliases.ts";
import { convertServiceEntry } from "../registry/service-entries.ts";
import { isDeepEqual, keepIfEqual } from "./is-deep-equal.ts";
import type { ObjectDelta } from "./object-store.ts";
import { createPersistentMap, draftMap, type PersistentMap } from "./persistent-map.ts";
import type { ServiceIndex } from "./snapshot.ts";

/** The part of a service that one object contributes. */
export interface Contribution {
  readonly object: KubeService | ServiceEntry;
  readonly service: Service;
}

/** Services of the mesh, kept up to date change by change. Lives as long as its builder. */
export class ServiceTable {
  /** By object key. */
  readonly #converted = new Map<
    string,
    { readonly object: KubeService | ServiceEntry; readonly services: readonly Service[] }
  >();
  /** By service key, then object key. */
  readonly #contributions = new Map<string, Map<string, Contribution>>();
  /** Before aliases are added. */
  readonly #merged = new Map<string, Service>();
  readonly #keysByHostname = new Map<string, Set<string>>();
  readonly #aliasKeys = new Set<string>();
  readonly #allocatingKeys = new Set<string>();
  /** Services with written addresses that an allocation must leave to them. */
  readonly #reservingKeys = new Set<string>();
  readonly #prefixes: AddressPrefixes;
  #addresses: ReadonlyMap<string, AllocatedAddress> = new Map();
  #aliases: ReadonlyMap<string, Service["aliases"]> = new Map();
  #defaults: ServiceDefaults | undefined;
  #services: PersistentMap<Service> = createPersistentMap();
  #hostnames: PersistentMap<readonly Service[]> = createPersistentMap();
  #index: ServiceIndex = createIndex([], this.#services, this.#hostnames);

  constructor(prefixes: AddressPrefixes) {
    this.#prefixes = prefixes;
  }

  get index(): ServiceIndex {
    return this.#index;
  }

  /** What makes up a service: objects of Kubernetes first, then the oldest. */
  listContributions(key: string): readonly Contribution[] {
    return [...(this.#contributions.get(key)?.values() ?? [])].sort(
      (a, b) =>
        Number(a.service.registry !== "Kubernetes") - Number(b.service.registry !== "Kubernetes") ||
        compareServices(a.service, b.service) ||
        compareText(a.object.meta.name, b.object.meta.name),
    );
  }

  /**
   * Takes over what happened to services and service entries. `changed` are keys of services that read differently,
   * `touched` those of which an object differs at all (its endpoints may, too).
   */
  update(
    deltas: readonly ObjectDelta[],
    defaults: ServiceDefaults,
  ): { readonly changed: ReadonlySet<string>; readonly touched: ReadonlySet<string> } {
    const touched = new Set<string>();
    const objects = new Map<string, KubeService | ServiceEntry | undefined>();
    if (!isDeepEqual(this.#defaults, defaults)) {
      this.#defaults = defaults;
      for (const [key, { object }] of this.#converted) objects.set(key, object);
    }
    for (const { ref, after } of deltas) {
      if (ref.kind === "Service" || ref.kind === "ServiceEntry") {
        objects.set(objectKey(ref), after as KubeService | ServiceEntry | undefined);
      }
    }
    for (const [key, object] of objects) this.#convert(key, object, defaults, touched);
    const candidates = new Set(touched);
    const countsForAddresses = (key: string): boolean => this.#allocatingKeys.has(key) || this.#reservingKeys.has(key);
    const countedBefore = [...touched].some(countsForAddresses);
    for (const key of touched) this.#merge(key);
    this.#updateAliases(touched, candidates);
    if (countedBefore || [...touched].some(countsForAddresses)) this.#updateAddresses(candidates);
    return { changed: this.#publish(candidates), touched };
  }

  #convert(
    key: string,
    object: KubeService | ServiceEntry | undefined,
    defaults: ServiceDefaults,
    touched: Set<string>,
  ): void {
    const before = this.#converted.get(key)?.services ?? [];
    const after = convertObject(object, defaults).map((service) => {
      const known = before.find((other) => other.hostname === service.hostname);
      return known !== undefined && readsTheSame(known, service) ? known : service;
    });
    for (const service of before) {
      this.#contributions.get(serviceKey(service))?.delete(key);
      touched.add(serviceKey(service));
    }
    if (object === undefined) {
      this.#converted.delete(key);
      return;
    }
    this.#converted.set(key, { object, services: after });
    for (const service of after) {
      const owner = serviceKey(service);
      const contributions = this.#contributions.get(owner) ?? new Map<string, Contribution>();
      this.#contributions.set(owner, contributions.set(key, { object, service }));
      touched.add(owner);
    }
  }

  #merge(key: string): void {
    const services = this.listContributions(key).map((contribution) => contribution.service);
    const [leading, ...others] = services;
    const before = this.#merged.get(key);
    if (leading === undefined) {
      this.#contributions.delete(key);
      this.#merged.delete(key);
      if (before !== undefined) this.#keysByHostname.get(before.hostname)?.delete(key);
      this.#aliasKeys.delete(key);
      this.#allocatingKeys.delete(key);
      this.#reservingKeys.delete(key);
      return;
    }
    const merged = others.length === 0 ? leading : keepIfEqual(before, mergeServices(leading, others));
    this.#merged.set(key, merged);
    if (wantsAddress(merged)) this.#allocatingKeys.add(key);
    else this.#allocatingKeys.delete(key);
    if (this.#listReserved(merged).length > 0) this.#reservingKeys.add(key);
    else this.#reservingKeys.delete(key);
    const keys = this.#keysByHostname.get(leading.hostname) ?? new Set<string>();
    this.#keysByHostname.set(leading.hostname, keys.add(key));
    if (leading.resolution === "alias") this.#aliasKeys.add(key);
    else this.#aliasKeys.delete(key);
  }

  #updateAliases(touched: ReadonlySet<string>, candidates: Set<string>): void {
    const hadAliases = this.#aliases.size > 0;
    if (!hadAliases && this.#aliasKeys.size === 0) return;
    if (
      ![...touched].some(
        (key) => this.#aliasKeys.has(key) || !this.#merged.has(key) || this.#services.get(key)?.resolution === "alias",
      )
    )
      return;
    const before = this.#aliases;
    this.#aliases = resolveAliases([...this.#aliasKeys].flatMap((key) => this.#merged.get(key) ?? []));
    for (const hostname of [...before.keys(), ...this.#aliases.keys()]) {
      for (const key of this.#keysByHostname.get(hostname) ?? []) candidates.add(key);
    }
  }

  #updateAddresses(candidates: Set<string>): void {
    const before = this.#addresses;
    const list = (keys: ReadonlySet<string>): readonly Service[] =>
      [...keys].flatMap((key) => this.#merged.get(key) ?? []);
    this.#addresses = allocateAddresses({
      services: list(this.#allocatingKeys),
      written: new Set(list(this.#reservingKeys).flatMap((service) => this.#listReserved(service))),
      prefixes: this.#prefixes,
    });
    for (const [key, address] of this.#addresses) if (!isDeepEqual(before.get(key), address)) candidates.add(key);
    for (const key of before.keys()) if (!this.#addresses.has(key)) candidates.add(key);
  }

  #listReserved({ registry, addresses }: Service): readonly string[] {
    return registry === "External" ? addresses.filter((address) => isAllocatable(address, this.#prefixes)) : [];
  }

  /** The service with what follows from others: its aliases and the address that was left for it. */
  #complete(key: string, before: Service | undefined): Service | undefined {
    const merged = this.#merged.get(key);
    if (merged === undefined) return undefined;
    const aliases = this.#aliases.get(merged.hostname);
    const allocated = this.#addresses.get(key);
    if (aliases === undefined && allocated === undefined) return merged;
    return keepIfEqual(before, {
      ...merged,
      ...(aliases && { aliases }),
      ...(allocated?.v4 !== undefined && { autoAllocatedAddress: allocated.v4 }),
      ...(allocated?.v6 !== undefined && { autoAllocatedAddressV6: allocated.v6 }),
    });
  }

  #publish(candidates: ReadonlySet<string>): ReadonlySet<string> {
    const changed = new Set<string>();
    const hostnames = new Set<string>();
    const draft = draftMap(this.#services);
    for (const key of candidates) {
      const before = this.#services.get(key);
      const after = this.#complete(key, before);
      if (before === after) continue;
      changed.add(key);
      hostnames.add((before ?? after)?.hostname ?? "");
      if (after === undefined) draft.delete(key);
      else draft.set(key, after);
    }
    if (changed.size === 0) return changed;
    this.#services = draft.finish();
    const hostDraft = draftMap(this.#hostnames);
    for (const hostname of hostnames) {
      const services = [...(this.#keysByHostname.get(hostname) ?? [])].flatMap((key) => this.#services.get(key) ?? []);
      if (services.length > 0) hostDraft.set(hostname, services.sort(compareServices));
      else {
        hostDraft.delete(hostname);
        this.#keysByHostname.delete(hostname);
      }
    }
    this.#hostnames = hostDraft.finish();
    // What stays is in order already, which the sort takes advantage of.
    const kept = this.#index.all.filter((service) => !changed.has(serviceKey(service)));
    const all = [...kept, ...[...changed].flatMap((key) => this.#services.get(key) ?? [])].sort(compareServices);
    this.#index = createIndex(all, this.#services, this.#hostnames);
    return changed;
  }
}

function convertObject(object: KubeService | ServiceEntry | undefined, defaults: ServiceDefaults): readonly Service[] {
  if (object === undefined) return [];
  if (object.kind === "Service") return [convertKubeService(object, defaults)];
  return convertServiceEntry(object, defaults);
}

// The version of the object moves with its status, which is nobody's business here.
function readsTheSame(a: Service, b: Service): boolean {
  return isDeepEqual({ ...a, resourceVersion: "" }, { ...b, resourceVersion: "" });
}

// Several entries of one namespace may share a host, each with ports of its own: the service has them all.
function mergeServices(leading: Service, others: readonly Service[]): Service {
  const ports = [...leading.ports];
  const addresses = new Set(leading.addresses);
  const subjectAltNames = new Set(leading.subjectAltNames);
  for (const other of others) {
    for (const port of other.ports) {
      if (!ports.some(({ number }) => number === port.number)) ports.push(port);
    }
    for (const address of other.addresses) addresses.add(address);
    for (const name of other.subjectAltNames) subjectAltNames.add(name);
  }
  const assignedAddress = [leading, ...others].find(
    (service) => service.assignedAddress !== undefined,
  )?.assignedAddress;
  return {
    ...leading,
    ports,
    addresses: [...addresses],
    ...(leading.registry === "Kubernetes" && { ownAddresses: leading.addresses }),
    ...listPortAddresses([leading, ...others]),
    ...listPortAudiences([leading, ...others]),
    subjectAltNames: [...subjectAltNames],
    ...(assignedAddress && { assignedAddress }),
  };
}

// An entry's ports are called by the addresses of this entry, not by those of another entry of the host.
function listPortAddresses(services: readonly Service[]): Pick<Service, "portAddresses"> {
  const all = new Set(services.flatMap(({ addresses }) => addresses));
  const byPort: Record<number, readonly string[]> = {};
  for (const { ports, addresses } of services) {
    for (const { number } of ports) byPort[number] = [...new Set([...(byPort[number] ?? []), ...addresses])];
  }
  const differs = Object.values(byPort).some((addresses) => addresses.length !== all.size);
  return differs ? { portAddresses: byPort } : {};
}

// What one entry shows to few, another entry of the host does not show to all, nor does it hide what the other shows.
function listPortAudiences(services: readonly Service[]): Pick<Service, "exportTo" | "portExportTo"> {
  const exportTo = joinAudiences(services.map((service) => service.exportTo));
  if (services.every((service) => isDeepEqual(service.exportTo, exportTo))) return { exportTo };
  const byPort: Record<number, Service["exportTo"]> = {};
  for (const { ports, exportTo: own } of services) {
    for (const { number } of ports) byPort[number] = joinAudiences([byPort[number] ?? new Set(), own]);
  }
  return { exportTo, portExportTo: byPort };
}

function joinAudiences(audiences: readonly Service["exportTo"][]): Service["exportTo"] {
  const names = audiences.flatMap((audience) => [...audience]);
  const someone = names.filter((name) => name !== "~");
  return parseExportTo(someone.length === 0 ? names : someone);
}

function createIndex(
  all: readonly Service[],
  services: PersistentMap<Service>,
  hostnames: PersistentMap<readonly Service[]>,
): ServiceIndex {
  return {
    all,
    byHostname: (hostname) => hostnames.get(hostname) ?? none,
    find: (hostname, namespace) => services.get(serviceKey({ hostname, namespace })),
  };
}

const none: readonly Service[] = [];
