/** Addresses of the pod, as pilot-agent collects them (cmd/pilot-agent/app/cmd.go, pilot/pkg/util/network). */
import { isIP, isIPv4, isIPv6 } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";

/** Interfaces as node:os lists them. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

export interface AddressSources {
  readonly interfaces: Interfaces;
  /** INSTANCE_IP; comes first where it is an address, because the control plane takes the first. */
  readonly instanceIp: string;
  /** Names of interfaces whose addresses are not the proxy's (traffic.sidecar.istio.io/excludeInterfaces). */
  readonly excluded: readonly string[];
}

/** Addresses of the pod without repetition, never none: a machine without an address says both loopback addresses. */
export function listAddresses({ interfaces, instanceIp, excluded }: AddressSources): readonly string[] {
  const own = listPrivate(Object.values(interfaces).flatMap((infos) => infos ?? []));
  const left = listPrivate(excluded.flatMap((name) => interfaces[name] ?? []));
  const found = (own.length > 0 ? own : ["127.0.0.1", "::1"]).filter((address) => !left.includes(address));
  const first = isIP(instanceIp) === 0 ? [] : [instanceIp];
  return [...new Set([...first, ...found])];
}

function listPrivate(infos: readonly NetworkInterfaceInfo[]): readonly string[] {
  return infos.filter(({ internal, address }) => !internal && !isLocal(address)).map(({ address }) => unmap(address));
}

/** IPv4 written as IPv6 counts as IPv4. */
const unmap = (address: string): string => (address.startsWith("::ffff:") ? address.slice(7) : address);

/** Loopback, link-local and unspecified addresses, which nobody else can call. */
function isLocal(given: string): boolean {
  const address = unmap(given).toLowerCase();
  if (isIPv4(address)) return /^(127\.|169\.254\.|0\.0\.0\.0$)/.test(address);
  return address === "::1" || address === "::" || /^fe[89ab]/.test(address);
}

/** The families that a proxy's addresses have; which loopback address the agent takes depends on it. */
export type AddressFamilies = "ipv4" | "ipv6" | "both";

export function findFamilies(addresses: readonly string[]): AddressFamilies {
  if (addresses.every((address) => isIPv6(address))) return "ipv6";
  return addresses.every((address) => isIPv4(address)) ? "ipv4" : "both";
}

/** What "here" and "everywhere" are for the agent and Envoy. */
export interface LocalAddresses {
  readonly localhost: string;
  readonly wildcard: string;
  /** Of the other family, where the pod has both and both are listened on. */
  readonly otherFamily: { readonly localhost: string; readonly wildcard: string } | undefined;
  readonly dnsLookupFamily: "V4_ONLY" | "V6_ONLY" | "ALL";
}

const ipv4 = { localhost: "127.0.0.1", wildcard: "0.0.0.0" } as const;
const ipv6 = { localhost: "::1", wildcard: "::" } as const;

/** Both families count only where `isDualStack`; then the first address says which of them goes first. */
export function findLocalAddresses({ addresses, isDualStack }: LocalAddressesOptions): LocalAddresses {
  const families = findFamilies(addresses);
  if (families === "ipv6") return { ...ipv6, otherFamily: undefined, dnsLookupFamily: "V6_ONLY" };
  if (families === "ipv4" || !isDualStack) return { ...ipv4, otherFamily: undefined, dnsLookupFamily: "V4_ONLY" };
  const [first, second] = isIPv6(addresses[0] ?? "") ? [ipv6, ipv4] : [ipv4, ipv6];
  return { ...first, otherFamily: second, dnsLookupFamily: "ALL" };
}

export interface LocalAddressesOptions {
  readonly addresses: readonly string[];
  /** ISTIO_DUAL_STACK */
  readonly isDualStack: boolean;
}
