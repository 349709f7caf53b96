/**
 * What the statuses of ServiceEntries have to say of addresses and do not (row C146): the leader writes it, so that every
 * control plane of the cluster, and every restart, gives a host the address that clients have already been told.
 */
import type { AssignedAddress } from "../api/object-status.ts";
import type { ServiceEntry } from "../api/service-entry/schema.ts";
import type { Service } from "../model/service.ts";
import { findAssignedAddress, refusesAddress } from "../registry/address-allocation.ts";
import { isDeepEqual } from "./is-deep-equal.ts";
import type { Snapshot } from "./snapshot.ts";

/** A status that differs from what it should be. */
export interface AddressChange {
  readonly entry: ServiceEntry;
  /** All addresses that the status is to have; empty where it is to have none. */
  readonly addresses: readonly AssignedAddress[];
}

/** All changes, in the order of namespaces and names. */
export function listAddressChanges(snapshot: Snapshot): readonly AddressChange[] {
  return snapshot.objects("ServiceEntry").flatMap((entry) => {
    const stored = entry.status?.addresses ?? [];
    const addresses = listWanted(entry, stored, snapshot);
    return isDeepEqual(addresses, stored) ? [] : [{ entry, addresses }];
  });
}

function listWanted(
  { meta, spec }: ServiceEntry,
  stored: readonly AssignedAddress[],
  snapshot: Snapshot,
): readonly AssignedAddress[] {
  const { hosts, addresses = [], resolution = "NONE" } = spec;
  if (addresses.length > 0 || resolution === "NONE" || refusesAddress(meta.labels)) return [];
  const named = [...new Set(hosts)].filter((host) => !host.startsWith("*") || resolution === "DYNAMIC_DNS");
  return named.flatMap((host) => {
    const known = stored.filter((address) => address.host === host);
    const service = snapshot.services.find(host, meta.namespace);
    if (service === undefined || (known.length > 0 && !hasLost(service, known, host))) return known;
    const { autoAllocatedAddress, autoAllocatedAddressV6 } = service;
    const given = [autoAllocatedAddress, autoAllocatedAddressV6].filter((value) => value !== undefined);
    return given.map((value) => ({ host, value }));
  });
}

/** True where an older service, or somebody who wrote it, has the stored address as well. */
function hasLost(service: Service, known: readonly AssignedAddress[], host: string): boolean {
  const { assignedAddress, autoAllocatedAddress: v4, autoAllocatedAddressV6: v6 } = service;
  const own = findAssignedAddress(known, host);
  const given = { ...(v4 !== undefined && { v4 }), ...(v6 !== undefined && { v6 }) };
  return isDeepEqual(assignedAddress, own) && !isDeepEqual(given, own);
}
