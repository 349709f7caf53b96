import { compareServices, type Service, serviceKey } from "../model/service.ts";

// 240.240.0.0/16 is reserved for future use, so that no real server has an address of it. Addresses end neither in .0 nor
// in .255, and their number is a prime, so that steps of any length come by all of them.
const slotCount = 65011;
const optOutLabel = "networking.istio.io/enable-autoallocate-ip";

/** True for services of a ServiceEntry that get an address of their own for DNS at the proxy. */
export function wantsAddress(service: Service): boolean {
  return (
    service.registry === "External" &&
    service.addresses.length === 0 &&
    // Without an address nobody would know where a connection of resolution NONE was meant to go.
    service.resolution !== "passthrough" &&
    !service.hostname.startsWith("*") &&
    service.labels[optOutLabel] !== "false"
  );
}

/**
 * Addresses for services without one, by service key. The address follows from namespace and hostname alone, so that it is
 * the same on every replica and after every restart; where two meet, the older service keeps it and the other takes steps
 * of a length that its name decides (Istio: serviceentry autoAllocateIPs).
 */
export function allocateAddresses(services: Iterable<Service>): ReadonlyMap<string, string> {
  const taken = new Set<number>();
  const addresses = new Map<string, string>();
  for (const service of [...services].sort(compareServices)) {
    if (taken.size >= slotCount) break;
    const key = serviceKey(service);
    const hash = hashText(key);
    const step = 1 + (hash % (slotCount - 1));
    let slot = hash % slotCount;
    while (taken.has(slot)) slot = (slot + step) % slotCount;
    taken.add(slot);
    addresses.set(key, `240.240.${Math.floor(slot / 254)}.${(slot % 254) + 1}`);
  }
  return addresses;
}

// FNV-1a with 32 bits over the bytes of names, which are ASCII.
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
