/**
 * Addresses for services of ServiceEntries that have none, for clients whose DNS the mesh answers (row C146). What a
 * status says counts (Istio: pilot/pkg/controllers/ipallocate writes it, as our leader does); for the others the address
 * follows from namespace and host, so that it is the same on every replica, after every restart, and when it is written.
 */
import { isIP } from "node:net";
import type { Labels } from "../api/object.ts";
import type { AssignedAddress } from "../api/object-status.ts";
import { formatAddressBits, parseAddressBits } from "../lib/ip-address.ts";
import { memoByKey } from "../lib/slot-memo.ts";
import { compareServices, type Service, serviceKey } from "../model/service.ts";

/** Where addresses are taken from, in CIDR notation. */
export interface AddressPrefixes {
  readonly v4: string;
  readonly v6: string;
}

/** One address for each family; a family is absent where there is none of it. */
export interface AllocatedAddress {
  readonly v4?: string;
  readonly v6?: string;
}

const optOutLabel = "networking.istio.io/enable-autoallocate-ip";
// Addresses end neither in .0 nor in .255.
const slotsOfBlock = 254;
const blockSize = 256;
const mostSlots = 65_024;

/** True for services of a ServiceEntry that get an address of their own for DNS at the proxy. */
export function wantsAddress(service: Service): boolean {
  return (
    service.registry === "External" &&
    service.addresses.length === 0 &&
    // Without an address nobody would know where a connection of resolution NONE was meant to go.
    service.resolution !== "passthrough" &&
    // Clients of a wildcard all connect to one address: only the name that they say tells where to.
    (!service.hostname.startsWith("*") || service.resolution === "dynamicDns") &&
    !refusesAddress(service.labels)
  );
}

/** True where a label says that no address is wanted. */
export function refusesAddress(labels: Labels): boolean {
  return labels[optOutLabel]?.toLowerCase() === "false";
}

/** The addresses that a status gives to a host; of several of one family the last counts (Istio: convertServices). */
export function findAssignedAddress(addresses: readonly AssignedAddress[], hostname: string): AllocatedAddress {
  const values = addresses.filter(({ host }) => host === hostname).map(({ value }) => value);
  const v4 = values.findLast((value) => isIP(value) === 4);
  const v6 = values.findLast((value) => isIP(value) === 6);
  return { ...(v4 !== undefined && { v4 }), ...(v6 !== undefined && { v6 }) };
}

/** What an allocation is made from. */
export interface AllocationInput {
  /** Services that want an address (wantsAddress). */
  readonly services: Iterable<Service>;
  /** Addresses that somebody wrote into a ServiceEntry: nobody else is given one of these. */
  readonly written: ReadonlySet<string>;
  readonly prefixes: AddressPrefixes;
}

/**
 * Addresses by service key. A service keeps what its status says unless an older one, or a person, has that too. The
 * others take the place that their name decides, or go on in steps that it decides as well.
 */
export function allocateAddresses(input: AllocationInput): ReadonlyMap<string, AllocatedAddress> {
  const range = createRange(input.prefixes);
  const taken = new Set(input.written);
  const addresses = new Map<string, AllocatedAddress>();
  const waiting: string[] = [];
  for (const service of [...input.services].sort(compareServices)) {
    const key = serviceKey(service);
    const assigned = service.assignedAddress ?? {};
    const values = valuesOf(assigned);
    if (values.length === 0 || values.some((value) => taken.has(value))) waiting.push(key);
    else addresses.set(key, take(assigned, taken));
  }
  for (const key of waiting) {
    const found = findFree(key, range, taken);
    if (found !== undefined) addresses.set(key, take(found, taken));
  }
  return addresses;
}

/** True for addresses that an allocation could give to somebody. */
export function isAllocatable(address: string, prefixes: AddressPrefixes): boolean {
  const { v4, v6 } = createRange(prefixes);
  if (isIP(address) === 0) return false;
  const { bits, size } = parseAddressBits(address);
  const prefix = size === 32 ? v4 : v6;
  return prefix !== undefined && bits >> prefix.hostBits === prefix.first >> prefix.hostBits;
}

interface Prefix {
  readonly first: bigint;
  readonly hostBits: bigint;
  readonly size: 32 | 128;
}

interface Range {
  readonly v4: Prefix | undefined;
  readonly v6: Prefix | undefined;
  /** A prime, so that steps of any length come by all places; 0 where nothing can be given. */
  readonly slots: number;
}

function createRange({ v4, v6 }: AddressPrefixes): Range {
  return rangeOf(rangeOwner, `${v4} ${v6}`);
}

const rangeOwner = {};

const rangeOf: (owner: object, prefixes: string) => Range = memoByKey((_owner: object, prefixes) => {
  const [v4, v6] = prefixes.split(" ").map(parsePrefix);
  const smallest = [v4, v6].flatMap((prefix) => (prefix === undefined ? [] : [countPlaces(prefix.hostBits)]));
  return { v4, v6, slots: smallest.length === 0 ? 0 : findPrimeBelow(Math.min(...smallest, mostSlots)) };
});

function parsePrefix(text: string): Prefix | undefined {
  const [address = "", length = ""] = text.split("/");
  if (isIP(address) === 0 || !/^\d{1,3}$/.test(length)) return undefined;
  const { bits, size } = parseAddressBits(address);
  if (Number(length) > size) return undefined;
  const hostBits = BigInt(size - Number(length));
  return { first: (bits >> hostBits) << hostBits, hostBits, size };
}

function countPlaces(hostBits: bigint): number {
  if (hostBits >= 16n) return mostSlots;
  const count = 2 ** Number(hostBits);
  return count <= blockSize ? Math.max(count - 2, 0) : (count / blockSize) * slotsOfBlock;
}

function findPrimeBelow(limit: number): number {
  for (let candidate = limit; candidate > 1; candidate -= 1) if (isPrime(candidate)) return candidate;
  return limit;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor += 1) if (value % divisor === 0) return false;
  return value > 1;
}

function findFree(key: string, range: Range, taken: ReadonlySet<string>): AllocatedAddress | undefined {
  const { slots } = range;
  if (slots === 0) return undefined;
  const hash = hashText(key);
  const step = slots === 1 ? 1 : 1 + (hash % (slots - 1));
  let slot = hash % slots;
  for (let tries = 0; tries < slots; tries += 1) {
    const found = addressAt(slot, range);
    if (!valuesOf(found).some((value) => taken.has(value))) return found;
    slot = (slot + step) % slots;
  }
  return undefined;
}

function addressAt(slot: number, { v4, v6 }: Range): AllocatedAddress {
  const offset = BigInt(Math.floor(slot / slotsOfBlock) * blockSize + (slot % slotsOfBlock) + 1);
  const format = ({ first, size }: Prefix): string => formatAddressBits({ bits: first + offset, size });
  return { ...(v4 && { v4: format(v4) }), ...(v6 && { v6: format(v6) }) };
}

function valuesOf({ v4, v6 }: AllocatedAddress): readonly string[] {
  return [v4, v6].filter((value) => value !== undefined);
}

function take(address: AllocatedAddress, taken: Set<string>): AllocatedAddress {
  for (const value of valuesOf(address)) taken.add(value);
  return address;
}

// FNV-1a with 32 bits over the bytes of names, which are ASCII.
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
